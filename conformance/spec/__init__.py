"""The specification of HFTP: every requirement with its id, level and dialects."""
