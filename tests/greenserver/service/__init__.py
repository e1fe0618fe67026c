"""Tests of a server as a service."""
