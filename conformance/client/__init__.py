"""The HFTP client of the suite: addresses, connections, replies as each dialect has them, and recordings."""
