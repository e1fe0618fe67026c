"""The gate counts who is in, refuses who is too many."""

import resource
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenserver.config import limits
from greenserver.net.limiter import ConnectionLimiter, Slot, address_of, network, raise_descriptor_limit
from greenserver.telemetry.metrics import Metrics

PURE = settings(max_examples=200, deadline=None, derandomize=True, database=None)


class CountingMeter(Metrics):
    """Remembers who was refused."""

    __slots__ = ("reasons",)

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def refused(self, reason: str) -> None:
        self.reasons.append(reason)


def limiter(meter: Metrics | None = None, **granted: int) -> ConnectionLimiter:
    return ConnectionLimiter(replace(limits.DEFAULTS, **granted), meter or CountingMeter())


def slot(at: ConnectionLimiter, client: str = "192.0.2.1:1") -> Slot:
    slot = Slot(at)
    slot.begin()
    slot.is_let_in_as(client)
    return slot


def test_so_many_are_let_in_and_more_when_some_leave() -> None:
    meter = CountingMeter()
    at = limiter(meter, max_connections=2)
    visits = [slot(at) for _ in range(3)]
    assert [each.is_welcome for each in visits] == [True, True, False]
    assert not any(each.is_cut_short for each in visits)
    assert meter.reasons == ["full"]
    visits[0].end()
    assert slot(at).is_welcome


def test_refused_clients_are_given_time_while_they_are_few() -> None:
    at = limiter(max_connections=1)
    slot(at)
    refused = [slot(at) for _ in range(limits.REFUSALS + 1)]
    assert [each.is_cut_short for each in refused] == [False] * limits.REFUSALS + [True]
    refused[-1].end()
    assert slot(at).is_cut_short
    refused[0].end()
    assert not slot(at).is_cut_short


def test_an_address_has_its_share_and_no_more_and_each_leaves_what_it_took() -> None:
    meter = CountingMeter()
    at = limiter(meter, max_connections_per_client=2)
    visits = [slot(at, f"[2001:db8::{number}]:7") for number in range(1, 4)]
    assert [each.is_welcome for each in visits] == [True, True, False]
    assert slot(at, "[2001:db8:0:1::1]:7").is_welcome
    assert slot(at, "192.0.2.1:7").is_welcome
    assert meter.reasons == ["client"]
    visits[2].end()
    assert not slot(at, "[2001:db8::9]:7").is_welcome
    visits[0].end()
    assert slot(at, "[2001:db8::9]:7").is_welcome


@settings(PURE)
@given(st.lists(st.sampled_from(["enter", "leave"]), max_size=60), st.integers(1, 4), st.integers(0, 3))
def test_whoever_comes_and_goes_the_counts_come_back_to_nothing(events: list[str], most: int, share: int) -> None:
    at = limiter(max_connections=most, max_connections_per_client=share)
    inside: list[Slot] = []
    for event in events:
        if event == "enter":
            inside.append(slot(at))
            assert sum(each.is_welcome for each in inside) <= min(most, share or most)
        elif inside:
            inside.pop(0).end()
    for each in inside:
        each.end()
    fresh = [slot(at) for _ in range(most)]
    assert sum(each.is_welcome for each in fresh) == min(most, share or most)


def test_without_a_gate_all_are_welcome() -> None:
    slot = Slot(None)
    slot.begin()
    assert slot.is_let_in_as("anybody")
    slot.reject("tls", "anybody", ValueError())
    slot.end()


@pytest.mark.parametrize(
    ("client", "name"),
    [
        ("192.0.2.1:19500", "192.0.2.1"),
        ("[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1:2::/64"),
        ("[::ffff:192.0.2.1]:1", "192.0.2.1"),
        ("[fe80::1%eth0]:1", "fe80::/64"),
        ("unix", "unix"),
    ],
)
def test_what_counts_as_one_client(client: str, name: str) -> None:
    assert network(client) == name
    assert (address_of(client) is None) == (client == "unix")


def test_no_more_clients_than_descriptors_are_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def allow(count: int) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (count, count))

    allow(resource.RLIM_INFINITY)
    assert raise_descriptor_limit(20_000) == (20_000, limits.REFUSALS)
    allow(1 << 20)
    assert raise_descriptor_limit(20_000) == (20_000, limits.REFUSALS)
    allow(1024)
    fitting, refusals = raise_descriptor_limit(20_000)
    assert 400 < fitting < 500
    assert refusals == limits.FEW_REFUSALS
    assert raise_descriptor_limit(10)[0] == 10
    allow(8)
    assert raise_descriptor_limit(20_000)[0] == 1
