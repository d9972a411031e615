"""What a moved place means for records, in figures."""

from __future__ import annotations

from collections.abc import Sequence


def ids(noun: str, first: int, last: int) -> str:
    """Return `job 7` or `jobs 7 to 9`."""
    return f"{noun} {first}" if first == last else f"{noun}s {first} to {last}"


def repeated(noun: str, to: int, high: int, *, epoch: int = 1, survivor: int | None = None) -> str:
    """Return what a place that goes back from `high` to `to` means.

    Ids up to `survivor` were delivered in an earlier epoch, and come in this one now.
    """
    told = f"{ids(noun, to + 1, high)} will be delivered a second time"
    if epoch == 1 or (survivor is not None and to >= survivor):
        return f"{told}, with the same ids"
    if survivor is None or survivor >= high:
        return f"{told}; those delivered before epoch e{epoch} began get ids of e{epoch}, as if they were new"
    old = ids(noun, to + 1, survivor)
    return f"{told}, with the same ids; but {old}, delivered before epoch e{epoch} began, with new ids of e{epoch}"


def skipped(noun: str, high: int, to: int) -> str:
    """Return what a place that goes forward from `high` to `to` means."""
    return f"{ids(noun, high + 1, to)} will not be delivered"


def listed(numbers: Sequence[int], most: int = 10) -> str:
    """Return `7, 9, 12 and 30 more`."""
    shown = ", ".join(map(str, numbers[:most]))
    return shown + (f" and {len(numbers) - most} more" if len(numbers) > most else "")
