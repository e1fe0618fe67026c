"""Makes the standard library cooperative for the engine that needs it; to be called before anything else."""

from greenserver.configuration import ENGINES


def patch_for(engine: str) -> None:
    """Monkey-patch this process if the engine runs on greenlets."""
    if engine == ENGINES[0]:
        from gevent import monkey  # noqa: PLC0415  (the other engines do not pay for gevent)

        monkey.patch_all()
