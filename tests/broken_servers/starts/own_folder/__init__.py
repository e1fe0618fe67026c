"""A server beside the only files that it ever serves."""
