"""Decoding of webhooks' bodies, large ones in a child process."""
