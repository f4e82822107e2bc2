"""The admin REST API: one controller a resource."""
