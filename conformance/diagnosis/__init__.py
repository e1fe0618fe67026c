"""What is wrong in a server: `diagnose` finds root causes, those of `causes.toml`; the rest has likely causes."""
