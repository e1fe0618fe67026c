"""The longest wait is told, whoever waits, and none that is over."""

from time import monotonic

from conformance.client.recording import Recording
from conformance.model.activity import Activity


def waited_for(activity: Activity) -> str:
    wait = activity.longest()
    return wait.what if wait is not None else ""


def test_the_longest_wait_is_told_until_it_is_over() -> None:
    activity, record = Activity(), Recording()
    assert waited_for(activity) == ""
    activity.playing[record] = "framing.lf-only"
    assert waited_for(activity) == ""
    record.waiting = monotonic(), "100 BAD EOL"
    with activity.waiting("the server to listen"):
        assert waited_for(activity) == "framing.lf-only: 100 BAD EOL"
        record.waiting = None
        assert waited_for(activity) == "the server to listen"
    assert waited_for(activity) == ""
    record.waiting = monotonic(), "100 BAD EOL"
    del activity.playing[record]
    assert waited_for(activity) == ""
