"""The Markdown summary and the annotations show any text as it is."""

from conformance.grading.markdown import annotations, markdown
from conformance.model.verdicts import Exit, Verdict
from tests.conformance.grading import SOME, assessment, result, run


def test_one_server_is_explained_and_several_are_listed() -> None:
    one = markdown([assessment("ana", run(*SOME))])
    assert "| ana | not conformant | 46.88 | 100 | 2/5 | 0/1 |" in one
    assert "- **HFTP-1.2** MUST, 0/3, not met" in one
    two = markdown([assessment("ana", run(*SOME)), assessment("b|<b>", run(*SOME))])
    assert "HFTP-1.2" not in two
    assert "| b\\|\\<b\\> | not conformant |" in two


def test_reply_ends_no_block_and_no_command() -> None:
    hostile = result("a.a", "HFTP-1.1", Verdict.FAIL, got="```\n# no\n::error::x")
    assert "got       '''\\n# no\\n::error::x" in markdown([assessment("ana", run(hostile))])
    lines = annotations([assessment("ana", run(hostile))]).splitlines()
    assert lines == ["::error title=a.a%3A Title of a.a::expected 100 BAD EOL, got ```%0A# no%0A::error::x"]


def test_annotations_name_causes_then_what_they_do_not_explain() -> None:
    text = annotations([assessment("ana", run(result("framing.a", "HFTP-1.1", Verdict.FAIL), *SOME[1:], cause="x"))])
    assert text.startswith("::error title=A title::Fix. Seen in 1 scenario: .\n")
    assert "framing.a%3A" not in text
    assert "::error title=framing.b%3A" in text
    assert "::warning title=framing.i%3A" in text
    unstarted = annotations([assessment("ana", run(status=Exit.USAGE, problems=("it ends",)))])
    assert unstarted == "::error title=ana::it ends\n"
