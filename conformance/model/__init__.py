"""What a run is made of: scenarios and their context, transcripts, causes, verdicts and events."""
