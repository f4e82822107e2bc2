"""Authentication: principals from the credentials of a request."""
