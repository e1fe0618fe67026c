"""What a server may answer: a nondeterministic model of the protocol, a second reading of the specification."""
