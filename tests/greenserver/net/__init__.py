"""Tests of greenserver.net."""
