"""What makes a server a service: its processes, rights and reloads, what watches it, and how it is deployed."""
