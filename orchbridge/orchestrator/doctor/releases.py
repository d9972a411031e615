"""Which release of PE answers, as far as it says so, and what it lacks for us. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from orchbridge.core.ports import Finding
from orchbridge.orchestrator.doctor.findings import ok, warning

Version: TypeAlias = tuple[int, ...]


class _Lack(NamedTuple):
    """What releases before these do not have; `stream` is what cannot be read without it at all."""

    since: tuple[Version, ...]
    what: str
    hint: str
    stream: str = ""


_LACKS = (
    _Lack(
        ((2016, 5),), "the inventory, so nothing is known of connections", 'leave "inventory" out of `streams`',
        "inventory",
    ),
    _Lack(
        ((2017, 3),), "pages of jobs and counts of nodes by state: only the newest jobs are seen, and every unfinished"
        " one is asked at every tick", "raise poll_interval_s, or update PE to 2017.3",
    ),
    _Lack(((2018, 1),), "plan jobs", 'leave "plans" out of `streams`', "plans"),
    _Lack(((2019, 2),), "events of plans: only their end is told", "update PE to 2019.2", "plans"),
    _Lack(
        ((2019, 8, 5), (2021, 0)), "the times of a job's creation and end, and its duration: records and metrics have"
        " what we observe", "update PE to 2019.8.5 or 2021.0",
    ),
)  # fmt: skip
_KEEPS_TOO_LONG = ((2021, 5), (2021, 7, 1))


def told(service_version: str | None, streams: tuple[str, ...]) -> list[Finding]:
    """Return the release and what it lacks for these streams; nothing where it is not told."""
    if not service_version:
        return []
    found = re.match(r"(\d{4})\.(\d+)(?:\.(\d+))?", service_version)
    if not found:
        return [ok("version", f"the orchestrator calls itself {service_version[:40]}")]
    version = tuple(int(part) for part in found.groups() if part is not None)
    findings = [ok("version", f"probably PE {found[0]}")]
    for lack in _LACKS:
        if not any(_has(version, since) for since in lack.since) and (not lack.stream or lack.stream in streams):
            findings.append(warning("release", f"PE {found[0]} does not tell {lack.what}", lack.hint))
    if _KEEPS_TOO_LONG[0] <= version < _KEEPS_TOO_LONG[1]:
        said = f"PE {found[0]} keeps old jobs longer than it should; an update deletes thousands at once"
        findings.append(warning("release", said, "let a backfill finish before PE is updated to 2021.7.1 or newer"))
    return findings


def _has(version: Version, since: Version) -> bool:
    """Whether a release has what came with another one; a third number belongs to its own line of releases."""
    return version[:2] == since[:2] and version >= since if len(since) == 3 else version >= since
