"""Tests of greenserver.admin."""
