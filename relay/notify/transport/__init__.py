"""HTTP, SMTP and Apprise, and which addresses may be reached."""
