"""Tests of greenserver.client."""
