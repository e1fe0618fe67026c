"""The benchmark: greenserver beside its peers, in one run, by ratios."""
