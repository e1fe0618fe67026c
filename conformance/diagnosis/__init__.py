"""Likely causes of failures, by chapter, and the control requests that distinguish them."""
