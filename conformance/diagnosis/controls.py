"""Control requests: distinguish mistakes that cause the same failure.

Each function gets its own scenario context and returns whether the condition in its docstring holds; an exception
means that it does not.
"""

import os
from collections.abc import Callable
from typing import Final

import pybase64

from conformance.client.client import Client
from conformance.failures import Failure, Kind
from conformance.model.context import ScenarioContext

PROBE: Final = "{unknown}"
MISSING: Final = "{missing}"

# --- Transcripts -------------------------------------------------------------------------------------

ONE_BY_ONE: Final = f"""
    C: {PROBE}
    S: 200 *
    C: get_metadata {{text}}
    S: 0 *
    S: {{text.size}}
    """
"""Commands are answered if each is sent in its own packet, after the reply to the previous one."""
METADATA_WORKS: Final = """
    C: get_metadata {text}
    S: 0 *
    S: {text.size}
    """
LISTING_WORKS: Final = """
    C: get_file_listing
    S: 0 *
    S: <listing>
    """
SLICE_WORKS: Final = """
    C: get_slice {text} 0 1
    S: 0 *
    S: <slice text 0 1>
    """
SLICE_INSIDE_WORKS: Final = """
    C: get_slice {text} 1 1
    S: 0 *
    S: <slice text 1 1>
    """
LARGE_WORKS: Final = """
    C: get_slice {large} 0 {large.size//4}
    S: 0 *
    S: <slice large 0 {large.size//4}>
    """
WHOLE_TEXT_WORKS: Final = """
    C: get_slice {text} 0 {text.size}
    S: 0 *
    S: <slice text 0 {text.size}>
    """
UNKNOWN_IS_200: Final = """
    C: {unknown-word}
    S: 200 *
    """
MISSING_IS_202: Final = f"""
    C: get_metadata {MISSING}
    S: 202 *
    """
NUMBERS_ARE_CHECKED: Final = """
    C: get_slice {text} 0 x
    S: 201 *
    """


def accepts(offset: str, size: str) -> str:
    """Return a control request: whether a slice with this OFFSET and SIZE is answered with 0."""
    return f"""
    C: get_slice {{text}} {offset} {size}
    S: 0 *
    """


def refuses(offset: str, size: str, code: int = 203) -> str:
    """Return a control request: whether a slice with this OFFSET and SIZE is answered with `code`."""
    return f"""
    C: get_slice {{text}} {offset} {size}
    S: {code} *
    """


# --- How lines are read ------------------------------------------------------------------------------


def takes_each_recv_for_a_command(context: ScenarioContext) -> bool:
    """Tell whether a command split over two packets is answered differently from one in a single packet."""
    client = context.connect()
    client.send_line("get_metadata")
    client.status(201)
    client.close()
    client = context.connect()
    client.send(b"get_meta")
    client.await_read()
    client.send(b"data\r\n")
    return _fails(lambda: client.status(201))


def loses_the_second_of_two(context: ScenarioContext) -> bool:
    """Tell whether only the first of two commands in one packet gets a reply, though each does in its own packet."""
    client = context.connect()
    client.send_line(context.words.unknown)
    client.status(200)
    client.send_line(context.words.unknown)
    client.status(200)
    client.close()
    client = context.connect()
    client.send(b"%b\r\n" % context.words.unknown * 2)
    client.status(200)
    return _is_silent(client)


def greets(context: ScenarioContext) -> bool:
    """Tell whether the server sends a line before the client sends anything."""
    return bool(context.connect().read_line("a greeting"))


def _fails(read: Callable[[], object]) -> bool:
    try:
        read()
    except Failure:
        return True
    return False


def refuses_parent(context: ScenarioContext) -> bool:
    """Tell whether ../NAME of a file in the parent directory is refused."""
    secret = context.fixtures.secret
    if secret is None:
        return False
    return _refuses(context, b"../" + secret.name)


def refuses_secret(context: ScenarioContext) -> bool:
    """Tell whether a file in the parent directory is refused by its relative and its absolute path."""
    secret = context.fixtures.secret
    if secret is None:
        return False
    directory = os.fsencode(context.fixtures.directory)
    above = directory.rpartition(b"/")[0]
    return all(
        _refuses(context, name + b"/" + secret.name) for name in (b"..", above, b"/" + above, directory + b"/..")
    )


def _refuses(context: ScenarioContext, name: bytes) -> bool:
    client = context.connect()
    client.send_line(b"get_metadata " + name)
    refused = client.status().code != 0
    client.close()
    return refused


# --- Files -------------------------------------------------------------------------------------------


def _names(context: ScenarioContext) -> list[bytes]:
    client = context.connect()
    client.send_line("get_file_listing")
    client.status(0)
    names = client.listing()
    client.close()
    return names


def _new(context: ScenarioContext) -> bytes:
    """Return the name of the file that a control question adds."""
    return context.words.name("control")


def _size(context: ScenarioContext) -> int | None:
    """Return the size that the server reports for the file of the control request; None if it is not found."""
    client = context.connect()
    client.send_line(b"get_metadata " + _new(context))
    size = client.size() if client.status(0, 202).code == 0 else None
    client.close()
    return size


def lists_no_new_files(context: ScenarioContext) -> bool:
    """Tell whether a newly added file is missing from a listing on a new connection."""
    with context.fixtures.added({_new(context): b"1"}):
        return _new(context) not in _names(context)


def lists_new_files(context: ScenarioContext) -> bool:
    """Tell whether a newly added file is in a listing on a new connection."""
    return not lists_no_new_files(context)


def finds_no_new_files(context: ScenarioContext) -> bool:
    """Tell whether a newly added file is not found on a new connection."""
    with context.fixtures.added({_new(context): b"1"}):
        return _size(context) is None


def keeps_sizes(context: ScenarioContext) -> bool:
    """Tell whether get_metadata on a new connection still returns the old size of a file that has grown."""
    with context.fixtures.added({_new(context): b"1"}):
        if _size(context) != 1:
            return False
        with context.fixtures.added({_new(context): b"22"}):
            return _size(context) == 1


def follows_growth(context: ScenarioContext) -> bool:
    """Tell whether get_metadata returns the new size of a file that has grown."""
    with context.fixtures.added({_new(context): b"1"}):
        if _size(context) != 1:
            return False
        with context.fixtures.added({_new(context): b"22"}):
            return _size(context) == 2  # noqa: PLR2004  (its two bytes)


def lists_lower_case(context: ScenarioContext) -> bool:
    """Tell whether a name with capitals is listed in lower case."""
    name = context.fixture("names").name
    names = _names(context)
    return name not in names and name.lower() in names


def lists_names_with_dots_alone(context: ScenarioContext) -> bool:
    """Tell whether all listed names contain a dot, and several such files are listed."""
    names = _names(context)
    wanted = {context.fixture(key).name for key in ("text", "binary", "medium")}
    return wanted <= set(names) and all(b"." in name for name in names)


def lists_short_names(context: ScenarioContext) -> bool:
    """Tell whether a one-byte file with an equally simple name is listed."""
    return context.fixture("one").name in _names(context)


# --- Slices ------------------------------------------------------------------------------------------


def _slice_of_text(context: ScenarioContext, offset: int, size: int) -> Client:
    client = context.connect()
    client.send_line(b"get_slice %b %d %d" % (context.fixture("text").name, offset, size))
    client.status(0)
    return client


def ignores_offset(context: ScenarioContext) -> bool:
    """Tell whether a slice at OFFSET 1 starts with the first byte of the file."""
    content = context.fixture("text").content
    if content is None or content.read(0, 1) == content.read(1, 1):
        return False
    return _slice_of_text(context, 1, 1).slice(None, 1, 1).data == content.read(0, 1)


def sends_base64(context: ScenarioContext) -> bool:
    """Tell whether the first three bytes of a file are sent as four base64 characters."""
    content = context.fixture("text").content
    if content is None:
        return False
    return _slice_of_text(context, 0, 3).read(4, "base64") == pybase64.b64encode(content.read(0, 3))


def sends_unpadded(context: ScenarioContext) -> bool:
    """Tell whether the base64 of one byte is correct except for missing padding."""
    content = context.fixture("text").content
    if content is None:
        return False
    return _slice_of_text(context, 0, 1).read_line("base64") == pybase64.b64encode(content.read(0, 1)).rstrip(b"=")


def ends_no_base64(context: ScenarioContext) -> bool:
    """Tell whether nothing follows the base64 of one byte."""
    client = _slice_of_text(context, 0, 1)
    client.read(4, "base64")
    return _is_silent(client)


def ends_no_fragments(context: ScenarioContext) -> bool:
    """Tell whether nothing follows the only fragment of a one-byte slice."""
    client = _slice_of_text(context, 0, 1)
    return client.read(5, "a fragment")[:2] == b"1 " and _is_silent(client)


def _is_silent(client: Client) -> bool:
    try:
        client.read(1, "more data")
    except Failure as failure:
        return failure.kind is Kind.TIMEOUT
    return False
