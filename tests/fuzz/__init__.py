"""Coverage-guided fuzzing of the parser, of a connection and of the PROXY header, checked by an independent oracle.

`tests.fuzz.targets` are plain functions of bytes that raise AssertionError for a wrong result; Atheris drives
them by coverage (``python -m tests.fuzz SECONDS``), and `tests.fuzz.test_fuzz` replays the corpus in the matrix.
"""
