"""The namespaces of the public client: every documented endpoint, as a typed method."""
