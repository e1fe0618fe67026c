"""Listening sockets: opening, limiting and draining them."""
