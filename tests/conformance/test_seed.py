"""The seed of a run: nothing that the suite says or serves is known beforehand, and the same seed repeats it."""

from collections.abc import Iterator
from types import FunctionType

import pytest

from conformance.fixtures.base import extras, plan
from conformance.fixtures.words import Words
from conformance.model.events import Result
from conformance.scenarios import catalogue
from tests.broken_servers.hostile.cheats import KNOWN_SEED
from tests.conformance.in_process import Run, judge, judge_command

pytestmark = pytest.mark.once

TELLING = {"without-reading": ("slices.whole-*",), "only-for-the-suite": ("commands.*-0",)}
"""Scenarios that a cheat passes where it knows the seed."""
USING_WORDS = [
    scenario.id
    for scenario in catalogue()
    if isinstance(scenario.play, FunctionType)
    if "words" in scenario.play.__code__.co_names and scenario.applies_to("2026")
]
COMMANDS = {"get_file_listing", "get_metadata", "get_slice", "help", "quit"}


LEAST = {"bytes": 257, "medium": (1 << 18) + (1 << 15), "large": 31 << 20}
"""The sizes that scenarios need: about borders of buffers, for instance."""


def words_of(seed: int) -> set[bytes]:
    """Return the names, the larger contents and the words of a seed."""
    files = plan(seed, 1000).values()
    contents = {row.content.read(0, row.size) for row in files if row.content is not None and row.size > 1}
    words = Words(seed)
    others = {words.unknown, words.unknown_word, words.missing, words.name("fresh"), words.name("changing")}
    return {row.name for row in files} | contents | set(extras(seed).values()) | others


def test_another_seed_has_no_name_content_or_word_in_common() -> None:
    assert words_of(1) == words_of(1)
    assert words_of(1).isdisjoint(words_of(2))


def test_sizes_are_of_their_seed() -> None:
    drawn = [tuple(plan(seed)[key].size for seed in range(8)) for key in (*LEAST, "text", "binary")]
    assert all(len(set(sizes)) > 4 for sizes in drawn)
    assert [row.size for row in plan(5).values()] == [row.size for row in plan(5).values()]


@pytest.mark.parametrize("most", [1, 2, 7, 1000, 1 << 16, 1 << 20])
def test_the_large_file_has_the_size_that_was_asked_for_or_slightly_less(most: int) -> None:
    for seed in range(20):
        assert most - most // 32 - 6 < plan(seed, most)["large"].size <= most


@pytest.mark.parametrize("seed", range(20))
def test_the_files_are_of_every_kind_at_any_seed(seed: int) -> None:
    files = plan(seed)
    names = [row.name for row in files.values()] + [Words(seed).missing, *extras(seed).values()]
    assert len(set(names)) == len(names)
    assert len(files["long-name"].name) == 255
    assert b"." not in files["no-extension"].name
    assert all(part in files["names"].name for part in (b".", b"-", b"_", b"..", b"--", b"__"))
    assert [files[key].size for key in ("empty", "one")] == [0, 1]
    for key, least in LEAST.items():
        assert files[key].size >= least
        assert files[key].size % 3 == 1  # the last group of base64 is padded
    for key in ("binary", "bytes"):
        content = files[key].content
        assert content is not None
        assert set(content.read(0, content.size)) == set(range(256))
    text = files["text"].content
    assert text is not None
    assert text.read(0, text.size).endswith(b"\r\n")
    assert 30 < text.size < 70


def test_no_unknown_word_is_a_command_or_begins_like_one() -> None:
    words = {word.decode() for seed in range(200) for word in (Words(seed).unknown, Words(seed).unknown_word)}
    assert not any(command[:2] == word[:2] for command in COMMANDS for word in words)


def length(seed: int) -> int:
    """Return how long the words of a seed are together."""
    return len(Words(seed).unknown) + len(Words(seed).missing)


@pytest.mark.parametrize("seed", [*sorted(range(400), key=length)[4:7], max(range(400), key=length)])
def test_a_correct_server_passes_whatever_words_are_drawn(seed: int) -> None:
    assert judge("correct-threads", *USING_WORDS, seed=seed, dialect="2026").with_verdict("fail", "warn") == []


def judged(name: str, seed: int) -> Run:
    """Judge a cheat by what tells it from a server."""
    select = TELLING.get(name, ("commands.*-0", "commands.missing-*", "listings.empty-directory"))
    return judge_command(f"tests.broken_servers.hostile {name}", *select, seed=seed, dialect="2026")


@pytest.mark.parametrize("name", TELLING)
def test_a_server_that_knows_the_words_of_one_seed_fails_at_others(name: str) -> None:
    assert judged(name, KNOWN_SEED).with_verdict("fail") == []
    assert judged(name, KNOWN_SEED + 1).with_verdict("fail") != []


def test_a_server_that_knows_the_habits_of_the_suite_fails_at_any_seed() -> None:
    for seed in (KNOWN_SEED, KNOWN_SEED + 1):
        run = judged("by-constants", seed)
        assert {"commands.metadata-0", "commands.missing-metadata"} <= set(run.with_verdict("fail"))


def test_every_report_of_a_run_and_each_line_that_repeats_a_failure_have_the_seed() -> None:
    run = judge("bad-eol-101", "framing.lf-inside", seed=77)
    (result,) = failures(run)
    assert run.start.seed == 77
    assert "--seed 77" in run.start.command
    assert "--seed 77" in result.reproduce[0]


def failures(run: Run) -> Iterator[Result]:
    """Yield the failed results."""
    yield from (result for result in run.results.values() if result.verdict == "fail")
