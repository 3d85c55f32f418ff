"""A running gateway: routing, upstream HTTP, streams, model lists, tokens, logs. Knows no provider and no server."""
