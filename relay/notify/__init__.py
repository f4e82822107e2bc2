"""⑤ One file a platform: a notification in, a request out, and the platform's answer read into an outcome."""
