"""① From Alertmanager's webhook to one durable transaction."""
