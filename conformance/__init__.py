"""Judges any HFTP server in any language at any address; shares nothing with a server but the wire."""

__version__ = "0.1.0"
