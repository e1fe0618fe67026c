"""Configuration: limits, settings and option types."""
