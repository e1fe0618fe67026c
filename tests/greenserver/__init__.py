"""Tests of the server: unit tests, and tests of real servers in separate processes."""
