"""Configuration: limits, settings and their types."""
