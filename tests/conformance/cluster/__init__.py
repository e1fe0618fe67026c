"""A class on a real Dask cluster: a scheduler and workers, processes on loopback, some of which are killed."""
