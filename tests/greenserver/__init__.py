"""The tests of the server: units beside conversations with real servers in processes of their own."""
