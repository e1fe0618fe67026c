"""Reports: pure functions of the event stream, each in a form of its own."""
