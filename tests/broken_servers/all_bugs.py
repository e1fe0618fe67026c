"""All bugs: importing the modules that plant them fills the register."""

from tests.broken_servers import (  # noqa: F401  (they register their bugs)
    bugs_arguments,
    bugs_connections,
    bugs_crowds,
    bugs_entries,
    bugs_forms,
    bugs_framing,
    bugs_leavers,
    bugs_listings,
    bugs_numbers,
    bugs_paths,
    bugs_slices,
    bugs_statuses,
    bugs_words,
)
from tests.broken_servers.bug import BUGS, STYLES

__all__ = ["BUGS", "STYLES"]
