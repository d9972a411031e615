"""The jobs stream: discovery, events, states, certificates."""
