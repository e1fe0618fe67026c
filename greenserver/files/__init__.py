"""The only room that touches paths: file store, slices, page cache, and a thread pool for slow disks."""
