"""Commands beside `run`: explain a scenario or requirement, and replay a recorded run."""
