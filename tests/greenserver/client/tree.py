"""An HFTP server of 2019 in a thread, which serves a tree: it lists paths, as some servers do."""

from pathlib import Path

from tests.greenserver.client.scripted import Handler, Peer, Reply, slice_of


def tree(root: Path) -> Handler:
    """Return the handler of a server of all files below a directory."""

    def listing(_peer: Peer, _words: list[str]) -> bytes:
        names = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
        return "\r\n".join(["0 OK", *names, "", ""]).encode()

    def metadata(_peer: Peer, words: list[str]) -> bytes:
        path = root / words[1]
        return b"0 OK\r\n%d\r\n" % path.stat().st_size if path.is_file() else b"202 FILE NOT FOUND\r\n"

    replies: dict[str, Reply] = {
        "get_file_listing": listing,
        "get_metadata": metadata,
        "get_slice": lambda _peer, words: slice_of((root / words[1]).read_bytes(), words),
        "quit": lambda _peer, _words: b"0 OK\r\n",
    }

    def handle(peer: Peer) -> None:
        while line := peer.line():
            words = line.split(" ")
            known = replies.get(words[0])
            peer.send(b"200 NO SUCH COMMAND\r\n" if known is None else known(peer, words))
            if words[0] == "quit":
                return

    return handle
