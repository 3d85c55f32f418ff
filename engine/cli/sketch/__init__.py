"""A first draft of an endpoint from what an API's documentation shows: a curl command and a sample of the reply."""
