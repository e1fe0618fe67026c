"""The only room that touches paths: the file store, slices, the page cache and the thread pool for slow disks."""
