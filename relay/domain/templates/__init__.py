"""Channel templates and message templates."""
