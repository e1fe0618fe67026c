"""Tests of greenserver.io."""
