"""State machines that play a server against the pure core: nothing is lost, whatever order things happen in."""
