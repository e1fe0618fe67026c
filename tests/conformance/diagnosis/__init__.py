"""Tests of the diagnosis: its causes, its signatures, and what it makes of runs."""
