"""Transports: HTTP, SMTP and Apprise, and the policy for addresses that they may connect to."""
