"""Read-only queries for the API and the gauges."""
