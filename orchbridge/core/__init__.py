"""The pure heart: questions in, answers folded into batches; no I/O, no clock, no logging."""
