"""Runs scenarios against one server: selection, order, retries, blame and results."""
