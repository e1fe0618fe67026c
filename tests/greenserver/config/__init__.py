"""Tests of greenserver.config."""
