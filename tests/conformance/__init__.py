"""Tests of the package conformance, and of the servers that it is tried on."""
