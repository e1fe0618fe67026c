"""The server under judgement: how it is started, watched, probed and restarted."""
