"""Run the server as a service: processes, privileges, reload, systemd, heartbeat and deployment."""
