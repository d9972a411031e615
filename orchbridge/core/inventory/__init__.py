"""The inventory stream: which nodes the orchestrator can reach, and when that changed."""
