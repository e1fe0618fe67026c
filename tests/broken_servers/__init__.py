"""Servers with one planted bug each: what the suite has to find, and who has to find it.

The bugs are in `bugs_*.py`, which `all_bugs` collects; `tests/conformance/kill_matrix.py` runs the suite on them.
"""
