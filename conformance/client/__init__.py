"""The HFTP client of the suite: addresses, connections, replies of every dialect, and recordings."""
