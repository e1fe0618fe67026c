"""All bugs: importing the modules that plant them fills the register."""

from tests.broken_servers import (  # noqa: F401  (they register their bugs)
    bugs_arguments,
    bugs_connections,
    bugs_crowds,
    bugs_forms,
    bugs_framing,
    bugs_listings,
    bugs_paths,
    bugs_slices,
    bugs_statuses,
)
from tests.broken_servers.bug import BUGS, STYLES

__all__ = ["BUGS", "STYLES"]
