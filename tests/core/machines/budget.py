"""How long the machines run: seconds in the usual run, as long as one likes under the profile `deep`."""

from __future__ import annotations

from hypothesis import settings

DEEP = 40  # times as many examples


def budget(examples: int, steps: int) -> settings:
    """Return settings for a machine; under `deep` it plays more and longer. Which examples, the profile decides."""
    deep = settings.get_current_profile_name() == "deep"
    return settings(max_examples=examples * (DEEP if deep else 1), stateful_step_count=steps * (2 if deep else 1))
