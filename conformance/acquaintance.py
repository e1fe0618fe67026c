"""Gets to know a server before it is judged: whether it answers at all, and everything that holds for the run."""

from dataclasses import replace

from conformance import enquiry
from conformance.care import Care
from conformance.failure import Failure
from conformance.fixtures_found import FoundFixtures, find
from conformance.options import Options
from conformance.patience import ALONE, Patience, patience_seconds
from conformance.place import Place
from conformance.playing import WIRE, Outcome, play
from conformance.scenario import Scenario
from conformance.spec import DIALECTS
from conformance.stage import Circumstances


def acquainted(options: Options, place: Place, gate: Scenario, patience: Patience) -> tuple[Care, Outcome]:
    """Return who looks after the server, knowing its circumstances, and how it did in the first scenario of all.

    A server that fails that one is asked nothing else, and neither is one that does not answer a second time.
    """
    is_told = options.dialect != "auto"
    local = place.fixtures
    circumstances = Circumstances(
        dial=place.target.dial,
        fixtures=local or FoundFixtures({}, knows_all=False),
        dialect=options.dialect if is_told else DIALECTS[0],
        patience_seconds=patience_seconds(0.0, options.timeout_scale),
        seed=options.seed,
        clients=options.clients,
    )
    care = Care(place.target, circumstances, patience)
    first = play(gate, circumstances)
    if first.failure is not None and first.failure.kind in WIRE:
        first = play(gate, circumstances, ALONE)
    if first.failure is not None:
        care.dead = f"the server does not answer as it must: {first.failure}"
        return care, first
    if first.verdict is not None:  # the suite cannot even play that
        care.dead = first.reason
        return care, first
    with care.enquiring() as connect:
        try:
            round_trip_seconds = enquiry.round_trip_seconds(connect)
        except Failure as failure:
            care.dead = f"the server answers one command, and not the next: {failure}"
            return care, first
    care.circumstances = replace(
        circumstances,
        round_trip_seconds=round_trip_seconds,
        patience_seconds=patience_seconds(round_trip_seconds, options.timeout_scale),
    )
    if not is_told:
        with care.enquiring() as connect:
            care.circumstances = replace(care.circumstances, dialect=enquiry.dialect_of(connect))
    if local is None:
        with care.enquiring() as connect:
            found = find(connect, options.seed, options.large_bytes)
            care.circumstances = replace(care.circumstances, fixtures=found)
    with care.enquiring() as connect:
        care.circumstances = replace(care.circumstances, is_concurrent=enquiry.is_concurrent(connect))
    care.heal()  # what a question did to the server is no scenario's fault; those that ask it will find out
    return care, first
