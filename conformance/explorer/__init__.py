"""Explore a server: make up conversations, have the model judge them, and shrink those that break a requirement."""
