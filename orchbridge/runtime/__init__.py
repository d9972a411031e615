"""What moves: the tail loop, the questions under way, per-stream fate, and stopping."""
