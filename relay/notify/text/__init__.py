"""The content of messages, independent of the platform."""
