"""The dialects of the protocol, by the year in which each one was taught."""

from typing import Final

DIALECTS: Final = ("2026", "2019", "2018", "2016")
"""The newest first."""
