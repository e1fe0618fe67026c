"""Likely causes of failures, by chapter, and the control questions that tell them apart."""
