"""Channels, templates and API keys."""
