"""Keeps labels whose values others choose from growing without end: a budget for each, the rest is "other"."""

from __future__ import annotations

from orchbridge.ops import catalogue
from orchbridge.ops.metrics import Metrics

OTHER, NONE = "other", "none"
NAMES_MAX = 100
ENVIRONMENTS_MAX = 100  # pairs of job type and environment: each is three series
BROKERS_MAX = 50
SERVICES_MAX = 20
UNKNOWN_MAX = 5  # of a label whose values we know: what a newer server may add
LENGTH_MAX = 200

_KNOWN = {
    "type": frozenset(catalogue.JOB_TYPES),
    "outcome": frozenset(catalogue.OUTCOMES),
    "stage": frozenset(catalogue.STAGES),
    "kind": frozenset(catalogue.TROUBLES),
    "notice": frozenset(catalogue.NOTICES),
    "missed": frozenset(catalogue.MISSED),
}
_UP_FRONT = frozenset((type_, catalogue.ENVIRONMENT) for type_ in catalogue.JOB_TYPES)


class Bounds:
    """The budgets of all sources. A value that was let in stays in, so that its counter goes on."""

    def __init__(self, metrics: Metrics, names_max: int = NAMES_MAX) -> None:
        self._metrics = metrics
        self._budgets = {
            "task": names_max,
            "plan": names_max,
            "broker": BROKERS_MAX,
            "code": 40,
            "area": SERVICES_MAX,
        }
        self._known: dict[tuple[str, str], set[object]] = {}

    def __call__(self, source: str, label: str, value: object, *, counts: bool = True) -> str:
        """Return the value as a label, "other" where this label of this source has had too many, "none" for none.

        With `counts` false nothing is counted under it, so there is no overflow to tell of either.
        """
        if not isinstance(value, str) or not value:
            return NONE
        if value in _KNOWN.get(label, ()):
            return value
        if self._room(source, label, value, self._budgets.get(label, UNKNOWN_MAX)):
            return value
        self._metrics.add("orchbridge_series_overflow_total", source, label, by=counts)
        return OTHER

    def environment(self, source: str, type_: str, value: object, *, counts: bool = True) -> str:
        """Return the environment as a label beside a job type: both together have one budget."""
        name = value if isinstance(value, str) and value else NONE
        if (type_, name) in _UP_FRONT or self._room(source, "environment", (type_, name), ENVIRONMENTS_MAX):
            return name
        self._metrics.add("orchbridge_series_overflow_total", source, "environment", by=counts)
        return OTHER

    def forget(self, source: str, label: str) -> None:
        """Begin a label's budget anew, as its series are gone."""
        self._known.pop((source, label), None)

    def _room(self, source: str, label: str, value: str | tuple[str, str], budget: int) -> bool:
        known = self._known.setdefault((source, label), set())
        if value in known:
            return True
        text = value if isinstance(value, str) else value[1]
        if len(known) < budget and clean(text) == text:
            known.add(value)
            return True
        return False


def clean(text: str, most: int = LENGTH_MAX) -> str:
    """Return the text so that it can be exported: half a surrogate pair would take the whole scrape with it."""
    text = text if len(text) <= most else f"{text[: most - 1]}…"
    return text if text.isascii() else text.encode(errors="replace").decode()
