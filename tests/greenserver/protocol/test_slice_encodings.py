"""Slices are the same from any position, so that the rest of a partly sent part can be requested again."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from greenserver.config import limits
from greenserver.files.file_slice import FileSlice
from greenserver.files.store import FileStore
from greenserver.protocol.dialects import DIALECTS
from greenserver.protocol.slice_encodings import Base64Slice, FragmentedSlice, MeasuredSlice, PlainSlice, SliceBody
from tests.greenserver.conftest import LARGE
from tests.greenserver.oracle import in_form
from tests.greenserver.protocol.test_responses import read_partially

FORMS: dict[str, Callable[[FileSlice], SliceBody]] = {
    "2026": Base64Slice,
    "raw": MeasuredSlice,
    "2018": PlainSlice,
    "2016": FragmentedSlice,
}
CHUNK, FRAGMENT = limits.CHUNK_BYTES, limits.FRAGMENT_BYTES
SIZES = [
    *(0, 1, 2, 3, 4, 5, 6),
    *(FRAGMENT - 1, FRAGMENT, FRAGMENT + 1, 2 * FRAGMENT, 2 * FRAGMENT + 5),
    *(CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 2, CHUNK + 3, 2 * CHUNK),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("offset", [0, 7])
def test_a_slice_is_the_same_after_partial_sends_of_any_length(
    store: FileStore, form: str, size: int, offset: int
) -> None:
    expected = in_form(form, LARGE[offset : offset + size])
    for lengths in ((1 << 30,), (9973, 50_000), (1, 2, 3, 300_000) if size > 100 else (1, 2, 3)):
        body: SliceBody = FORMS[form](store.slice("large.bin", offset, size))
        try:
            assert read_partially(body, random.Random(size), lengths) == expected
        finally:
            body.close()


@pytest.mark.parametrize("form", FORMS)
def test_a_part_starts_at_any_position(store: FileStore, form: str) -> None:
    expected = in_form(form, LARGE[:20])
    body = FORMS[form](store.slice("large.bin", 0, 20))
    try:
        for position in range(len(expected) + 1):
            assert expected[position:].startswith(body.chunk(position))
            assert body.chunk(position) or position == len(expected)
    finally:
        body.close()


@pytest.mark.parametrize("form", FORMS)
def test_parts_of_a_huge_slice_are_bounded(tmp_path: Path, form: str) -> None:
    size = 2**40
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(size)
    with FileStore(tmp_path) as store:
        body = FORMS[form](store.slice("sparse", 0, size))
        try:
            assert all(len(body.chunk(position)) < 300_000 for position in (0, 5, 10**6 + 1, 2**39 + 1, size - 1))
        finally:
            body.close()


def test_every_slice_form_belongs_to_a_dialect() -> None:
    forms = {form for dialect in DIALECTS.values() for form in dialect._language.slice_forms.values()}  # noqa: SLF001
    assert forms == set(FORMS.values())
