"""Servers that cannot be judged for how they start: what `--serve` is given, and what the suite has to say of it."""
