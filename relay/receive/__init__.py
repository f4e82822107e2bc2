"""① Alertmanager's webhook in, one durable transaction out."""
