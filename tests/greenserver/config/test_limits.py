"""The numbers fit each other."""

import os
from pathlib import Path

from greenserver.config import limits


def test_chunks_of_base64_concatenate() -> None:
    assert limits.CHUNK_BYTES % 3 == 0


def test_a_line_of_the_official_tests_is_not_too_long() -> None:
    assert len(b"get_metadata \r\n") + 5 * limits.MIB < limits.LINE_BYTES


def test_the_longest_command_that_means_anything_is_kept_whole() -> None:
    longest = f"get_slice {'n' * limits.NAME_BYTES} {'9' * limits.NUMBER_DIGITS} {'9' * limits.NUMBER_DIGITS} raw"
    assert len(longest) < limits.WHOLE_LINE_BYTES


def test_names_and_numbers_fit_in_what_is_kept_of_an_element() -> None:
    assert limits.NAME_BYTES < limits.ELEMENT_BYTES
    assert limits.NUMBER_DIGITS < limits.ELEMENT_BYTES


def test_numbers_of_that_many_digits_fit_in_an_offset_even_when_added() -> None:
    assert 2 * (10**limits.NUMBER_DIGITS - 1) < 2**63


def test_the_longest_name_is_the_systems() -> None:
    assert os.pathconf(".", "PC_NAME_MAX") == limits.NAME_BYTES


def test_a_command_in_a_log_line_fits_one_atomic_write_to_a_pipe(tmp_path: Path) -> None:
    longest_escape = len(r"\xff")
    room_for_other_facts = 1024
    least = os.pathconf(tmp_path, "PC_PIPE_BUF")
    assert limits.LOGGED_COMMAND_CHARACTERS * longest_escape + room_for_other_facts < least
