"""Servers that attack the suite or whoever runs it: whatever they do, a run ends well, and nothing else is touched."""
