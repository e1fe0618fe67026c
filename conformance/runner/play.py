"""Run one scenario once, and return its outcome."""

from time import monotonic
from typing import Final

from conformance.client.deviations import Deviations
from conformance.client.marking import mark
from conformance.failures import Failure, Incomplete, Kind, Unsupported
from conformance.language import Message
from conformance.model.context import RunContext, ScenarioContext
from conformance.model.likely_causes import likely
from conformance.model.scenario import CONCURRENCY, Scenario
from conformance.model.verdicts import Verdict
from conformance.runner.outcome import WIRE_FAILURES, Outcome, not_run

TOO_LONG: Final = Message("the run has taken too long; --max-seconds gives it more time")
_PRINTING_SECONDS: Final = 0.05
_CLIENTS: Final = "HFTP-10."
_CROWDS: Final = "HFTP-10.4"


def play(
    scenario: Scenario,
    run_context: RunContext,
    wait_factor: float = 1.0,
    deviations: Deviations | None = None,
    *,
    is_alone: bool = False,
) -> Outcome:
    """Run a scenario, with timeouts of `wait_factor` times the full ones.

    `deviations` replaces the deviations that its clients expect; by default, all known ones. Only if it `is_alone`,
    the likely cause of a failure is determined, which may send control requests to the server.
    """
    if monotonic() >= run_context.until:
        return not_run(scenario, Verdict.BLOCKED, TOO_LONG)
    context = ScenarioContext(
        run_context,
        is_crowded=CONCURRENCY in scenario.needs,
        scenario_id=scenario.id,
        wait_factor=wait_factor,
        deviations=deviations,
        judges_crowds=scenario.requirement == _CROWDS,
        timeouts=scenario.timeouts,
    )
    run_context.activity.playing[context.record] = scenario.id
    started = monotonic()
    printed = run_context.listen()
    failure, verdict, reason, output, moments = None, None, "", "", 0
    try:
        scenario.play(context)
    except Failure as why:
        failure = why.detached()
        moments = len(context.record.events)
        mark(context.record, failure, context.unread_bytes)
        output = printed(_seconds_to_print(failure) if is_alone else 0.0)
        if is_alone:
            failure.cause = likely(scenario, failure, context)
    except Incomplete as why:
        verdict, reason = Verdict.INCOMPLETE, str(why)
    except Unsupported as why:
        verdict, reason = Verdict.UNSUPPORTED, str(why)
    except Exception as error:  # noqa: BLE001  (an error in a scenario is a verdict, too)
        verdict, reason = Verdict.ERROR, fault(error)
    finally:
        moments = moments or len(context.record.events)
        context.close()
        run_context.activity.played.add(run_context.activity.playing.pop(context.record))
    if failure is not None and _is_one_too_many(scenario, context, failure):
        failure, verdict = None, Verdict.INCOMPLETE
        reason = Message(
            "the server serves {capacity} clients at once, including disconnected ones", capacity=run_context.capacity
        )
    return Outcome(
        scenario,
        context.record,
        monotonic() - started,
        tuple(context.seen),
        failure,
        verdict,
        reason,
        is_short=wait_factor < 1.0,
        tolerated=frozenset(context.tolerated),
        leaves_open=context.leaves_open,
        slowest_seconds=context.slowest_seconds,
        moments=moments,
        output=output,
        is_output_own=is_alone,
        printed=printed,
    )


def _seconds_to_print(failure: Failure) -> float:
    """Return how long a server may take to print why it failed: many close the connection first."""
    return _PRINTING_SECONDS if failure.kind in WIRE_FAILURES else 0.0


def unplayable(scenario: Scenario, facts: RunContext) -> Outcome | None:
    """Return the outcome of a scenario that the server, or the files, do not allow; None if it can run."""
    if CONCURRENCY in scenario.needs and not facts.is_concurrent:
        return not_run(scenario, Verdict.UNSUPPORTED, Message("the server serves one client at a time"))
    try:
        facts.fixtures.require(scenario.needs - {CONCURRENCY})
    except Incomplete as why:
        return not_run(scenario, Verdict.INCOMPLETE, str(why))
    return None


def _is_one_too_many(scenario: Scenario, context: ScenarioContext, failure: Failure) -> bool:
    """Return whether a client was wrongly rejected as over the limit; chapter 10 judges that, not this scenario."""
    facts = context.run_context
    is_refused = failure.kind in {Kind.REFUSED, Kind.CLOSED, Kind.RESET} or bool(
        facts.refusal and facts.refusal in failure.got
    )
    is_used_up = 0 < facts.capacity < context.record.connections
    return is_refused and is_used_up and not scenario.requirement.startswith(_CLIENTS)


def fault(error: Exception) -> str:
    """Return an error of the suite in a line, with where it occurred."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}: {error}{where}"
