"""Reports: pure functions of the event stream, one module per format."""
