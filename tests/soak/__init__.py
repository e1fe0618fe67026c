"""Long hard use of a server, with figures: each trial says what it saw, and fails if that is not what is promised.

`tests.greenserver.test_soak` runs the trials small; ``python -m tests.soak`` runs them as long and large as asked.
"""
