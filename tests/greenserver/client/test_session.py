"""A session asks, retries and gives up as it should: its steps, without a socket or a clock."""

from collections.abc import Iterable

import pytest

from greenserver.client.errors import (
    ChangedError,
    ConnectionFailedError,
    RefusedError,
    RemoteProtocolError,
    StalledError,
)
from greenserver.client.operations import Close, Open, Pause, Receive, Result, Send, Steps, advance
from greenserver.client.options import Options
from greenserver.client.session import Session
from greenserver.protocol.client import Data, Names

SLOW = object()
"""The server says nothing until the timeout."""
Said = bytes | tuple[float, bytes] | OSError | object
"""What a server says next, perhaps after so many seconds; or what becomes of the connection."""


class Play:
    """Plays a server that says one thing after the other, whatever it is sent, and notes what a session does."""

    def __init__(self, said: Iterable[Said] = (), **options: object) -> None:
        self.said = list(said)
        self.now = 0.0
        self.session = Session(Options(**{"retries": 2, **options}), clock=lambda: self.now)  # type: ignore[arg-type]
        self.sent: list[str] = []
        self.opened = 0
        self.pauses: list[float] = []
        self.delivered = b""
        self.pause_of_caller = 0.0

    def call(self, steps: Steps[Result]) -> Result:
        answer: int | None = None
        failure: Exception | None = None
        while True:
            try:
                step = advance(steps, answer, failure)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            answer, failure = 0, None
            if isinstance(step, Data):
                self.delivered += bytes(step.data)
                self.now += self.pause_of_caller
            elif isinstance(step, Names):
                self.delivered += b"".join(step.names)
            elif isinstance(step, Open):
                self.opened += 1
                if self.said and isinstance(self.said[0], InterruptedError):
                    failure = self.said.pop(0)  # type: ignore[assignment]
            elif isinstance(step, Send):
                self.sent += step.data.decode().splitlines()
            elif isinstance(step, Pause):
                self.pauses.append(step.seconds)
            elif isinstance(step, Receive):
                answer, failure = self.receive(step)
            else:
                assert isinstance(step, Close)

    def receive(self, step: Receive) -> tuple[int, Exception | None]:
        said = self.said.pop(0) if self.said else b""
        if isinstance(said, OSError):
            return 0, said
        if isinstance(said, tuple):
            self.now += said[0]
            said = said[1]
        if not isinstance(said, bytes):
            self.now += step.seconds
            return 0, TimeoutError()
        step.buffer[: len(said)] = said
        return len(said), None


OPEN_FAILS = InterruptedError("no route")


def test_a_size_is_asked_for_on_one_connection() -> None:
    play = Play([b"0 OK\r\n", b"14\r\n", b"0 OK\r\n15\r\n"])
    assert play.call(play.session.size("f")) == 14
    assert play.call(play.session.size("g")) == 15
    assert (play.sent, play.opened) == (["get_metadata f", "get_metadata g"], 1)


def test_a_connection_that_is_lost_is_made_again_after_a_pause() -> None:
    play = Play([b"0 OK\r\n", b"", ConnectionResetError(104, "reset"), b"0 OK\r\n14\r\n"])
    assert play.call(play.session.size("f")) == 14
    assert play.opened == 3
    assert 0 < play.pauses[0] < play.pauses[1]


def test_a_connection_that_is_always_lost_is_given_up() -> None:
    play = Play()
    with pytest.raises(ConnectionFailedError, match=r"lost: the server closed .* \(2 retries\)"):
        play.call(play.session.size("f"))
    assert play.opened == 3


def test_a_server_that_cannot_be_reached_at_first_is_not_tried_again() -> None:
    play = Play([OPEN_FAILS])
    with pytest.raises(ConnectionFailedError, match="cannot connect: no route"):
        play.call(play.session.size("f"))
    assert (play.opened, play.pauses) == (1, [])


def test_a_server_that_cannot_be_reached_again_is_tried_again() -> None:
    play = Play([b"0 OK\r\n1\r\n", b"", OPEN_FAILS, b"0 OK\r\n2\r\n"])
    play.call(play.session.size("f"))
    assert play.call(play.session.size("f")) == 2
    assert play.opened == 3


@pytest.mark.parametrize("status", [b"202 FILE NOT FOUND\r\n", b"101 BAD REQUEST\r\n"])
def test_what_is_refused_is_not_asked_for_again(status: bytes) -> None:
    play = Play([status])
    with pytest.raises(RefusedError, match=f"the server replied {status.decode().strip()}") as raised:
        play.call(play.session.size("f"))
    assert raised.value.is_not_found == status.startswith(b"202")
    assert play.opened == 1


def test_a_server_that_is_busy_is_asked_again_but_not_for_long() -> None:
    play = Play([b"199 BUSY\r\n"] * 9, retries=7)
    with pytest.raises(RefusedError, match="199 BUSY"):
        play.call(play.session.size("f"))
    assert play.opened == 3


def test_a_fatal_status_ends_the_connection() -> None:
    play = Play([b"100 BAD EOL\r\n", b"0 OK\r\n14\r\n"])
    with pytest.raises(RefusedError):
        play.call(play.session.size("f"))
    assert play.call(play.session.size("f")) == 14
    assert play.opened == 2


def test_after_what_is_no_reply_the_connection_is_another_one() -> None:
    play = Play([b"hello\r\n", b"0 OK\r\n14\r\n"])
    with pytest.raises(RemoteProtocolError, match="'hello"):
        play.call(play.session.size("f"))
    assert play.call(play.session.size("f")) == 14
    assert play.opened == 2


def test_a_silent_server_is_given_up_after_the_timeout() -> None:
    play = Play([SLOW], retries=0)
    with pytest.raises(StalledError, match="the server sent nothing in 30 s"):
        play.call(play.session.size("f"))
    assert play.now == 30


def test_a_server_that_drips_is_given_up() -> None:
    drip = [b"0 OK\r\n30000\r\n", b"0 OK\r\n", *[b"QUJD", SLOW] * 2]
    play = Play(drip, retries=0, dialect="2019", timeout_seconds=3)
    with pytest.raises(StalledError, match="the server sent 10 bytes in 3 s"):
        play.call(play.session.slice("f", 0, 30000, 30000))


def test_a_server_that_sends_a_byte_in_time_each_time_is_given_up() -> None:
    play = Play([(1.0, b"0"), (1.0, b" "), (1.0, b"O"), (1.0, b"K"), b"\r\n1\r\n"], retries=0, timeout_seconds=3)
    with pytest.raises(StalledError, match="the server sent 3 bytes in 3 s"):
        play.call(play.session.size("f"))
    assert play.now == 3


def test_the_pauses_of_the_caller_are_not_those_of_the_server() -> None:
    play = Play([b"0 OK\r\n4\r\n", b"0 OK\r\nA", b"B", b"C", b"D"], retries=0, dialect="2018", timeout_seconds=3)
    play.pause_of_caller = 100
    play.call(play.session.slice("f", 0, 4, 4))
    assert play.delivered == b"ABCD"


def test_a_server_that_is_only_slow_is_not_given_up() -> None:
    size = 3 * 3072
    pieces = [b"QUJD" * 1024, SLOW] * 3
    play = Play([b"0 OK\r\n%d\r\n" % size, b"0 OK\r\n", *pieces, b"\r\n"], dialect="2019", timeout_seconds=4)
    play.call(play.session.slice("f", 0, size, size))
    assert play.delivered == b"ABC" * 3072
    assert play.now == 12


def test_a_slice_goes_on_where_the_connection_was_lost() -> None:
    play = Play([b"0 OK\r\n6\r\n", b"0 OK\r\nABC", b"", b"0 OK\r\n6\r\n", b"0 OK\r\nDEF"], dialect="2018")
    play.call(play.session.slice("f", 0, 6, 6))
    assert play.delivered == b"ABCDEF"
    assert play.sent == ["get_metadata f", "get_slice f 0 6", "get_metadata f", "get_slice f 3 3"]


def test_a_file_that_has_another_size_on_the_next_connection_has_changed() -> None:
    play = Play([b"0 OK\r\n6\r\n", b"0 OK\r\nABC", b"", b"0 OK\r\n7\r\n"], dialect="2018")
    with pytest.raises(ChangedError, match="had 6 bytes and has 7"):
        play.call(play.session.slice("f", 0, 6, 6))


def test_a_file_that_is_shorter_now_has_changed() -> None:
    play = Play([b"0 OK\r\n6\r\n", b"203 BEYOND\r\n", b"0 OK\r\n5\r\n"], dialect="2018")
    with pytest.raises(ChangedError, match="had 6 bytes and has 5"):
        play.call(play.session.slice("f", 0, 6, 6))


def test_a_server_that_contradicts_itself_is_not_asked_for_ever() -> None:
    play = Play([b"0 OK\r\n6\r\n", b"203 BEYOND\r\n"] * 9, dialect="2018")
    with pytest.raises(RefusedError, match="203 BEYOND"):
        play.call(play.session.slice("f", 0, 6, 6))
    assert len(play.sent) == 4


def test_retries_are_counted_anew_only_after_much_has_arrived() -> None:
    confirmed = b"0 OK\r\n100\r\n"
    play = Play([confirmed, *[b"0 OK\r\nA", b"", confirmed] * 9], dialect="2018")
    with pytest.raises(ConnectionFailedError):
        play.call(play.session.slice("f", 0, 100, 100))
    assert play.delivered == b"AAA"


def test_raw_is_given_up_where_it_is_refused() -> None:
    play = Play([b"0 OK\r\n3\r\n", b"201 INVALID\r\n", b"0 OK\r\nQUJD\r\n"], dialect="2026")
    play.call(play.session.slice("f", 0, 3, 3))
    assert play.sent == ["get_metadata f", "get_slice f 0 3 raw", "get_slice f 0 3"]
    assert play.delivered == b"ABC"


def test_base64_can_be_asked_for_instead_of_raw() -> None:
    play = Play([b"0 OK\r\n3\r\n", b"0 OK\r\nQUJD\r\n"], dialect="2026", is_raw_wanted=False)
    play.call(play.session.slice("f", 0, 3, 3))
    assert play.sent == ["get_metadata f", "get_slice f 0 3"]


@pytest.mark.parametrize(
    ("help_", "sniffed", "form"),
    [
        ([b"0 OK\r\nhelp\r\n\r\n"], [], "raw"),
        ([b"200 NO SUCH COMMAND\r\n"], [b"0 OK\r\nQQ==\r\n0 OK\r\n"], "base64"),
        ([b"200 NO SUCH COMMAND\r\n"], [b"0 OK\r\nA0 OK\r\n"], "plain"),
        ([b"200 NO SUCH COMMAND\r\n"], [b"0 OK\r\n1 A\r\n0 \r\n0 OK\r\n"], "fragments"),
        ([b"101 BAD REQUEST\r\n"], [b"0 OK\r\nQQ==\r\n"], "base64"),  # which closes
        ([b""], [b"0 OK\r\nQQ==\r\n"], "base64"),  # which dies
        ([SLOW], [b"0 OK\r\nQQ==\r\n"], "base64"),
        ([b"what?\r\n"], [b"0 OK\r\nQQ==\r\n"], "base64"),
    ],
)
def test_the_form_is_found_out_by_help_and_by_a_slice_of_one_byte(
    help_: list[Said], sniffed: list[bytes], form: str
) -> None:
    play = Play([*help_, *sniffed])
    assert play.call(play.session.find_form("f")) == form


@pytest.mark.parametrize(("options", "dialect"), [({"dialect": "2016"}, "2016"), ({}, "2026")])
def test_the_dialect_is_what_the_options_or_the_server_say(options: dict[str, str], dialect: str) -> None:
    play = Play([b"0 OK\r\nhelp\r\n\r\n"], **options)
    assert play.call(play.session.find_dialect()) == dialect


def test_names_are_asked_for_again_only_if_none_has_come() -> None:
    play = Play([b"0 OK\r\n", b"", b"0 OK\r\na\r\n", b"b\r\n\r\n"])
    play.call(play.session.names())
    assert play.delivered == b"ab"
    play = Play([b"0 OK\r\na\r\n", b""])
    with pytest.raises(ConnectionFailedError, match="the connection was lost"):
        play.call(play.session.names())
    assert play.opened == 1


def test_a_listing_without_an_end_is_given_up() -> None:
    play = Play([b"0 OK\r\n", *[b"a\r\n"] * 9], most_names=5)
    with pytest.raises(RemoteProtocolError, match="more than 5 names"):
        play.call(play.session.names())


def test_a_name_that_cannot_be_asked_for_opens_no_connection() -> None:
    play = Play()
    with pytest.raises(ValueError, match="cannot be asked for"):
        play.call(play.session.size("a b"))
    assert not play.opened


def test_the_end_is_polite_and_cannot_fail() -> None:
    play = Play([b"0 OK\r\n1\r\n", ConnectionResetError()])
    play.call(play.session.size("f"))
    play.call(play.session.leave())
    play.call(play.session.leave())
    assert play.sent[-1] == "quit"
    assert play.sent.count("quit") == 1
