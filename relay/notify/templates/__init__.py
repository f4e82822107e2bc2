"""Users' templates, rendered in sandboxed child processes."""
