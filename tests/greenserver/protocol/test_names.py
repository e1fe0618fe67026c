"""What can be no file's name is told from a name that no file has."""

import pytest

from greenserver.protocol.names import require_name
from greenserver.protocol.status import CommandError, Status


@pytest.mark.parametrize(
    "name", ["", "../secret", "/etc/passwd", "a b", "\xe9", "a\n", "a\0", "\u0661", "folder/inner"]
)
def test_a_name_with_another_character_is_a_bad_argument(name: str) -> None:
    with pytest.raises(CommandError) as refusal:
        require_name(name)
    assert refusal.value.status is Status.INVALID_ARGUMENTS_FOR_COMMAND


@pytest.mark.parametrize("name", [".", "..", "a", "A-Z_0.9", "n" * 5000])
def test_a_name_of_the_right_characters_is_a_name(name: str) -> None:
    require_name(name)
