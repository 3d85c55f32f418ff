"""The bundled mock upstream: answers like the real API, from the `mock/1` files beside the endpoints.

From the request to the answer in four rooms: `received` (a request as it came), `choosing` (which behaviour answers it;
no I/O), `connection` (HTTP/1.1 on a socket, byte by byte, so that a fault is exact), `server` (starting and stopping).
`ledger` remembers what came, for tests. Nothing here knows an upstream; every answer is from a plan.
"""
