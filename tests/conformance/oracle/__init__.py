"""Tests of the model: what a server may answer."""
