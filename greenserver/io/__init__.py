"""Waits for sockets, jobs and shutdown; the allocator settings for large blocks; and what may be imported."""
