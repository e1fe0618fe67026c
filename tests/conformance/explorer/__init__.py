"""Tests of the exploration of servers."""
