"""The dialects of the protocol, named after the year in which each was taught."""

from typing import Final

DIALECTS: Final = ("2026", "2019", "2018", "2016")
"""All dialects, the newest first."""
