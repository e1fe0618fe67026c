"""The benchmark: ratios of greenserver to its peers, measured in one run."""
