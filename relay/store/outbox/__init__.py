"""Alerts, deliveries and lanes: the hot path."""
