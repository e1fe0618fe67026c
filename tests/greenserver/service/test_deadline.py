"""A call has so much time; what it returns later is discarded."""

import threading

import pytest

from greenserver.service.deadline import Calls, StillHangsError, TooLateError, call_within
from tests.greenserver.serving import TIMEOUT_SECONDS, wait_until


def fail(*_: object) -> None:
    message = "as it must"
    raise LookupError(message)


def test_what_comes_in_time_is_returned_or_raised() -> None:
    discarded: list[object] = []
    assert call_within(TIMEOUT_SECONDS, lambda: 5, discarded.append) == 5
    with pytest.raises(LookupError, match="as it must"):
        call_within(TIMEOUT_SECONDS, fail, discarded.append)
    assert discarded == []


def test_what_comes_too_late_is_discarded() -> None:
    release = threading.Event()
    discarded: list[object] = []

    def hang() -> str:
        release.wait(TIMEOUT_SECONDS)
        return "late"

    with pytest.raises(TooLateError, match="took longer than"):
        call_within(0.01, hang, discarded.append)
    assert discarded == []
    release.set()
    wait_until(lambda: discarded == ["late"], "it is discarded")


def test_an_error_that_comes_too_late_is_ignored() -> None:
    release, ended = threading.Event(), threading.Event()

    def hang() -> None:
        release.wait(TIMEOUT_SECONDS)
        ended.set()
        fail()

    with pytest.raises(TooLateError):
        call_within(0.01, hang, fail)
    release.set()
    assert ended.wait(TIMEOUT_SECONDS)


def test_no_room_for_a_thread_is_an_error_that_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr("_thread.start_new_thread", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        call_within(TIMEOUT_SECONDS, lambda: None, fail)


def test_a_call_that_hangs_is_not_made_again_until_it_returns() -> None:
    release = threading.Event()
    made: list[str] = []

    def hang() -> str:
        made.append("made")
        release.wait(TIMEOUT_SECONDS)
        return "late"

    calls = Calls()
    with pytest.raises(TooLateError):
        calls.within(0.01, "one", hang, made.append)
    for _ in range(5):
        with pytest.raises(StillHangsError, match="still waits"):
            calls.within(TIMEOUT_SECONDS, "one", hang, made.append)
    assert calls.within(TIMEOUT_SECONDS, "another", lambda: 5, fail) == 5
    release.set()
    wait_until(lambda: made == ["made", "late"], "it returns")
    assert calls.within(TIMEOUT_SECONDS, "one", lambda: 6, fail) == 6
    with pytest.raises(LookupError):
        calls.within(TIMEOUT_SECONDS, "one", fail, fail)
    assert calls.within(TIMEOUT_SECONDS, "one", lambda: 7, fail) == 7


def test_a_call_for_which_there_was_no_thread_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    calls = Calls()
    with monkeypatch.context() as patched:
        patched.setattr("_thread.start_new_thread", refuse)
        with pytest.raises(RuntimeError):
            calls.within(TIMEOUT_SECONDS, "one", fail, fail)
    assert calls.within(TIMEOUT_SECONDS, "one", lambda: 7, fail) == 7
