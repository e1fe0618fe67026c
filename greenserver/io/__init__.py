"""Waits for sockets, jobs and shutdown; and the allocator settings for large blocks."""
