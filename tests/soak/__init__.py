"""Soak tests of a server: each trial returns figures, and fails if a requirement is not met.

`tests.greenserver.test_soak` runs small trials; ``python -m tests.soak`` runs them for any time and load.
"""
