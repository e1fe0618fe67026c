"""Tests of greenserver.connection."""
