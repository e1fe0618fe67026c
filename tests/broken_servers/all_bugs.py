"""All bugs: importing the modules that plant them fills the register."""

from tests.broken_servers import (  # noqa: F401  (they register their bugs)
    bugs_arguments,
    bugs_connections,
    bugs_crowds,
    bugs_entries,
    bugs_exits,
    bugs_forms,
    bugs_framing,
    bugs_leavers,
    bugs_line_ends,
    bugs_listings,
    bugs_numbers,
    bugs_paths,
    bugs_ranges,
    bugs_slices,
    bugs_statuses,
    bugs_vanished,
    bugs_waits,
    bugs_words,
    student_classes,
    student_one_file,
)
from tests.broken_servers.bug import BUGS, STYLES

__all__ = ["BUGS", "STYLES"]
