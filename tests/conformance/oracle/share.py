"""How many planted bugs the model sees in the conversations of the scenarios that find them.

`python -m tests.conformance.oracle.share [NTH]` plays each bug's part of the kill matrix, or that of each NTH bug.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from tests.broken_servers.all_bugs import BUGS
from tests.conformance.kill_matrix import SCENARIOS, make_options, proof, read
from tests.conformance.oracle.judged_runs import judge

_AT_ONCE = 4


def sees(name: str) -> bool:
    """Return whether the model calls a reply of a broken server a violation."""
    bug, found = BUGS[name], PROOF[name]
    _, judgement = judge(make_options(name, bug.dialects[0], found), SCENARIOS)
    return any(row.level != "CHOICE" for rows in judgement.violations.values() for row in rows)


PROOF = proof(read(), SCENARIOS)


def main() -> int:
    """Print which bugs are not seen, and the share of those that are."""
    nth = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    names = [name for number, name in enumerate(PROOF) if number % nth == 0 and PROOF[name]]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        seen = dict(zip(names, pool.map(sees, names), strict=True))
    missed = [name for name, is_seen in seen.items() if not is_seen]
    sys.stdout.write(f"{len(names) - len(missed)} of {len(names)} are seen; not seen: {' '.join(missed)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
