"""Makes the standard library cooperative for the engine that needs it; to be called before anything else."""

from greenserver.config.settings import ENGINES


def patch_for(engine: str) -> None:
    """Monkey-patch this process if the engine runs on greenlets.

    Not TLS, which works on memory here, nor the resolver, which is asked before clients are served, nor what starts
    and ends processes (`os`, `signal`, `subprocess`, which go together: gevent's `os.close` closes a pipe in a later
    turn of its loop, for which the standard library's `subprocess` would wait without end). Nobody waits for a
    process while clients are served.
    """
    if engine == ENGINES[0]:
        from gevent import events, monkey  # noqa: PLC0415  (the other engines do not pay for gevent)

        # To look for plugins, gevent reads what each installed distribution offers, once for each module that it
        # patches: four fifths of its time.
        events.notify_and_call_entry_points = events.notify  # type: ignore[attr-defined]  # the stubs lack them
        monkey.patch_all(os=False, signal=False, subprocess=False, ssl=False, dns=False)
