"""Define what a client raises; each message is one line that can be shown."""


class HftpError(Exception):
    """Something that was asked of a server has failed."""


class RemoteProtocolError(HftpError):
    """The server does not follow the protocol; the message names what it sent."""


class DisconnectedError(HftpError):
    """The server closed the connection before its reply was complete."""
