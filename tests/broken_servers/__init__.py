"""Servers with one planted bug each: what the suite has to find, and who has to find it."""
