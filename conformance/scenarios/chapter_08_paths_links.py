"""Symbolic links that lead out of the directory are not followed."""

from conformance.diagnosis import files as causes
from conformance.model.scenario import EXCLUSIVE, Chapter, ScenarioContext
from conformance.scenarios.chapter_08_paths import made, require_refusal, secret_of

chapter = Chapter()


@chapter.play(
    "paths.link-out",
    "HFTP-8.3",
    "A symbolic link to a file outside is not served",
    needs=["outside", "link-outside"],
    causes=causes.LINKS,
)
def link_out(context: ScenarioContext) -> None:
    """Request its size and bytes."""
    require_refusal(context, [context.fixture("link-outside").name])


@chapter.play(
    "paths.link-chain",
    "HFTP-8.3",
    "A symbolic link to a link that leads out, or to the parent directory, is not followed",
    needs=["outside", "link-outside", "local"],
    isolation=EXCLUSIVE,
    causes=causes.LINKS,
)
def link_chain(context: ScenarioContext) -> None:
    """Create such links for a while, and request files through them."""
    secret, served = secret_of(context).name, context.fixtures.served
    chain, above = context.words.name("link to a link", ""), context.words.name("link above", "")
    link = context.fixture("link-outside").name
    with (
        made(served, chain, lambda: served.link(chain, link)),
        made(served, above, lambda: served.link(above, b"..")),
    ):
        require_refusal(context, [chain, above + b"/" + secret])
