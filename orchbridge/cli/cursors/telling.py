"""What a moved place means for records, in figures."""

from __future__ import annotations

from collections.abc import Sequence


def ids(noun: str, first: int, last: int) -> str:
    """Return `job 7` or `jobs 7 to 9`."""
    return f"{noun} {first}" if first == last else f"{noun}s {first} to {last}"


def repeated(noun: str, to: int, high: int, epoch: int = 1) -> str:
    """Return what a place that goes back from `high` to `to` means."""
    told = f"{ids(noun, to + 1, high)} will be delivered a second time, with the same ids"
    return told if epoch == 1 else f"{told}; what was delivered in an earlier epoch than e{epoch} gets ids of e{epoch}"


def skipped(noun: str, high: int, to: int) -> str:
    """Return what a place that goes forward from `high` to `to` means."""
    return f"{ids(noun, high + 1, to)} will not be delivered"


def listed(numbers: Sequence[int], most: int = 10) -> str:
    """Return `7, 9, 12 and 30 more`."""
    shown = ", ".join(map(str, numbers[:most]))
    return shown + (f" and {len(numbers) - most} more" if len(numbers) > most else "")
