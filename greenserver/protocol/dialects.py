"""List the protocol's dialects: which commands and which slice encodings each has."""

from typing import Final

from greenserver.protocol.commands import GET_FILE_LISTING, GET_METADATA, GET_SLICE, HELP, QUIT
from greenserver.protocol.parser import Dialect
from greenserver.protocol.slice_encodings import Base64Slice, FragmentedSlice, MeasuredSlice, PlainSlice

_COMMON: Final = (GET_FILE_LISTING, GET_METADATA, GET_SLICE, QUIT)

DIALECTS: Final = {
    dialect.name: dialect
    for dialect in (
        Dialect("2026", (*_COMMON, HELP), {"": Base64Slice, "raw": MeasuredSlice}),
        Dialect("2019", _COMMON, {"": Base64Slice}),
        Dialect("2018", _COMMON, {"": PlainSlice}),
        Dialect("2016", _COMMON, {"": FragmentedSlice}),
    )
}
"""By name, the default first."""

DEFAULT_DIALECT: Final = next(iter(DIALECTS))
