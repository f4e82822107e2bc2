"""The HTTP server: uvicorn with bounds on what one client may use, and the headers of every response."""
