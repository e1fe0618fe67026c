"""Tests of greenserver.files."""
