"""The HTTP server: framing, limits, credentials, routes of the dialects, and processes."""
