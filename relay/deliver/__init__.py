"""④ Lanes, attempts, backoff: from the outbox to the platforms."""
