"""Keep the server under judgement away from everything that it does not need."""
