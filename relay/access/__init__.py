"""Who makes a request: credentials, principals, and what a route requires."""
