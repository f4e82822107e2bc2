"""The concepts of alerting as frozen structs and pure functions; no I/O."""
