"""State machines that play a server against the pure core: whatever order things happen in, nothing is lost or told twice."""
