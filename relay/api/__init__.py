"""The admin REST API: one controller per resource."""
