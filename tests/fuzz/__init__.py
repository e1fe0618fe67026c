"""Hostile input without end, against the parser and a live conversation, with an independent judge.

`tests.fuzz.targets` are plain functions of bytes that raise AssertionError when a promise is broken; Atheris drives
them by coverage (``python -m tests.fuzz SECONDS``), and `tests.fuzz.test_fuzz` replays the corpus in the matrix.
"""
