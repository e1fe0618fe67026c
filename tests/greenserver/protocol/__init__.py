"""Tests of greenserver.protocol."""
