"""Many servers in one command: which there are, how they are run side by side, and the page about all of them."""
