"""The limiter counts connections, and rejects those over a limit."""

import resource
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenserver.config import limits
from greenserver.net.connection_limiter import (
    Admission,
    ConnectionLimiter,
    Slot,
    descriptor_capacity,
    maximums,
)
from greenserver.telemetry.metrics_interface import Metrics

PURE = settings(max_examples=200, deadline=None, derandomize=True, database=None)


class RecordingMetrics(Metrics):
    """Records the reasons of rejections."""

    __slots__ = ("reasons",)

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def refused(self, reason: str) -> None:
        self.reasons.append(reason)


class Limited:
    """A limiter and the limits that its connections are served with."""

    def __init__(self, metrics: Metrics | None = None, **granted: int) -> None:
        self.limiter = ConnectionLimiter(metrics or RecordingMetrics())
        self.granted = replace(limits.DEFAULTS, **granted)

    def slot(self, client: str = "192.0.2.1:1") -> Slot:
        """Return the slot of a new connection."""
        slot = self.limiter.acquire(self.granted)
        slot.acquire_client(client)
        return slot


def is_accepted(slot: Slot) -> bool:
    return slot.admission is Admission.ACCEPTED


def test_accepts_up_to_the_limit_and_again_after_a_release() -> None:
    metrics = RecordingMetrics()
    at = Limited(metrics, max_connections=2)
    slots = [at.slot() for _ in range(3)]
    assert [slot.admission for slot in slots] == [Admission.ACCEPTED, Admission.ACCEPTED, Admission.REJECTED]
    assert metrics.reasons == ["full"]
    slots[0].release()
    assert is_accepted(at.slot())


def test_lets_a_limited_number_of_rejected_connections_linger() -> None:
    at = Limited(max_connections=1)
    at.slot()
    rejected = [at.slot() for _ in range(limits.MAX_REJECTED + 1)]
    assert [slot.admission for slot in rejected] == [Admission.REJECTED] * limits.MAX_REJECTED + [Admission.DROPPED]
    rejected[-1].release()
    assert at.slot().admission is Admission.DROPPED
    rejected[0].release()
    assert at.slot().admission is Admission.REJECTED


def test_limits_each_client_and_releases_its_slots() -> None:
    metrics = RecordingMetrics()
    at = Limited(metrics, max_connections_per_client=2)
    slots = [at.slot(f"[2001:db8::{number}]:7") for number in range(1, 4)]
    assert [slot.admission for slot in slots] == [Admission.ACCEPTED, Admission.ACCEPTED, Admission.REJECTED]
    assert is_accepted(at.slot("[2001:db8:0:1::1]:7"))
    assert is_accepted(at.slot("192.0.2.1:7"))
    assert metrics.reasons == ["client"]
    slots[2].release()
    assert not is_accepted(at.slot("[2001:db8::9]:7"))
    slots[0].release()
    slots[0].release()
    assert is_accepted(at.slot("[2001:db8::9]:7"))
    assert not is_accepted(at.slot("[2001:db8::9]:7")), "a second release gives nothing back"


def test_new_limits_include_open_connections() -> None:
    at = Limited(max_connections=3, max_connections_per_client=3)
    slots = [at.slot() for _ in range(3)]
    at.granted = replace(at.granted, max_connections=4, max_connections_per_client=2)
    assert at.slot().admission is Admission.REJECTED, "too many of this client"
    assert not is_accepted(at.slot("192.0.2.2:1")), "the rejected one is open, too"
    for slot in slots:
        slot.release()
    assert is_accepted(at.slot())


@settings(PURE)
@given(st.lists(st.sampled_from(["enter", "leave"]), max_size=60), st.integers(1, 4), st.integers(0, 3))
def test_counts_return_to_zero(events: list[str], most: int, share: int) -> None:
    at = Limited(max_connections=most, max_connections_per_client=share)
    inside: list[Slot] = []
    for event in events:
        if event == "enter":
            inside.append(at.slot())
            assert sum(map(is_accepted, inside)) <= min(most, share or most)
        elif inside:
            inside.pop(0).release()
    for slot in inside:
        slot.release()
    fresh = [at.slot() for _ in range(most)]
    assert sum(map(is_accepted, fresh)) == min(most, share or most)


def test_accepts_no_more_connections_than_descriptors_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    def allow(count: int) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (count, count))

    allow(resource.RLIM_INFINITY)
    assert maximums(20_000, descriptor_capacity()) == (20_000, limits.MAX_REJECTED)
    allow(1 << 20)
    assert maximums(20_000, descriptor_capacity()) == (20_000, limits.MAX_REJECTED)
    allow(1024)
    fitting, rejected = maximums(20_000, descriptor_capacity())
    assert 400 < fitting < 500
    assert rejected == limits.FEW_REJECTED
    assert maximums(10, descriptor_capacity())[0] == 10
    allow(8)
    limiter = ConnectionLimiter()
    limiter.measure_capacity()
    assert is_accepted(limiter.acquire(limits.DEFAULTS))
    assert not is_accepted(limiter.acquire(limits.DEFAULTS))
