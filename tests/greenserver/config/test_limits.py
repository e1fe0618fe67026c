"""The limits are consistent with each other and with the protocol."""

import os
from pathlib import Path

from greenserver.config import limits


def test_chunk_size_is_a_multiple_of_3_bytes() -> None:
    assert limits.CHUNK_BYTES % 3 == 0


def test_accepts_the_longest_line_of_the_official_tests() -> None:
    assert len(b"get_metadata \r\n") + 5 * limits.MIB < limits.LINE_BYTES


def test_keeps_the_longest_valid_command_complete() -> None:
    longest = f"get_slice {'n' * limits.NAME_BYTES} {'9' * limits.NUMBER_DIGITS} {'9' * limits.NUMBER_DIGITS} raw"
    assert len(longest) < limits.WHOLE_LINE_BYTES


def test_kept_element_bytes_hold_names_and_numbers() -> None:
    assert limits.NAME_BYTES < limits.ELEMENT_BYTES
    assert limits.NUMBER_DIGITS < limits.ELEMENT_BYTES


def test_sum_of_the_longest_numbers_fits_in_an_offset() -> None:
    assert 2 * (10**limits.NUMBER_DIGITS - 1) < 2**63


def test_longest_name_is_that_of_the_file_system() -> None:
    assert os.pathconf(".", "PC_NAME_MAX") == limits.NAME_BYTES


def test_logged_command_fits_one_atomic_pipe_write(tmp_path: Path) -> None:
    longest_escape = len(r"\xff")
    room_for_other_facts = 1024
    least = os.pathconf(tmp_path, "PC_PIPE_BUF")
    assert limits.LOGGED_COMMAND_CHARACTERS * longest_escape + room_for_other_facts < least
