"""`orchbridge check`: everything a run needs, looked at once, with what to fix; nothing is changed."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchbridge.cli import wiring
from orchbridge.cli.exits import CHECK_FAILED, CONFIGURATION, DONE
from orchbridge.config import Settings, load, missing_files
from orchbridge.core.errors import ConfigError, OrchbridgeError
from orchbridge.core.ports import Finding
from orchbridge.orchestrator.probe import probe

SINK_LIMIT_S = 60.0
MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "failed": ("FAILED", "bold red")}


async def check_all(path: Path, *, offline: bool, as_json: bool) -> int:
    """Check file, sources and sink in one pass; return 0, 2 (the file) or 3 (anything else)."""
    logging.disable(logging.CRITICAL)  # the libraries' own lines say less than the table
    try:
        settings = load(path, os.environ, files_exist=False)
    except ConfigError as error:
        findings = [
            Finding("configuration", "failed", line, "see config.example.toml") for line in str(error).split("\n")
        ]
        _show(findings, as_json=as_json)
        return CONFIGURATION
    files = [Finding(key, "failed", complaint) for key, complaint in missing_files(settings)]
    findings = [Finding("configuration", "ok", f"{path} is valid"), *files]
    findings += [Finding("configuration", "warning", line) for line in settings.warnings]
    elsewhere: list[Finding] = [] if offline else await _elsewhere(settings)
    _show([*findings, *elsewhere], as_json=as_json)
    if files:
        return CONFIGURATION
    return CHECK_FAILED if any(finding.level == "failed" for finding in elsewhere) else DONE


async def _elsewhere(settings: Settings) -> list[Finding]:
    """Ask the sources and the sink at the same time."""
    async with asyncio.TaskGroup() as group:
        sources = [group.create_task(_source(settings, at)) for at in range(len(settings.sources))]
        sink = group.create_task(_sink(settings))
    return [finding for task in (*sources, sink) for finding in task.result()]


async def _source(settings: Settings, at: int) -> Iterable[Finding]:
    source = settings.sources[at]
    try:
        return await probe(wiring.access_of(source))
    except OrchbridgeError as error:
        return [Finding(f"source {source.name}", "failed", str(error), error.hint)]


async def _sink(settings: Settings) -> Iterable[Finding]:
    name = f"sink {settings.sink.type}"
    try:
        streams = wiring.streams_of(settings)
        sink = wiring.sink_of(settings.sink)
        async with asyncio.timeout(SINK_LIMIT_S):
            try:
                return await sink.check([stream.id for several in streams.values() for stream in several])
            finally:
                await sink.close()
    except OrchbridgeError as error:
        return [Finding(name, "failed", str(error), error.hint)]
    except TimeoutError:
        return [Finding(name, "failed", f"no answer within {SINK_LIMIT_S:.0f} s", "is it reachable and well?")]


def _show(findings: Iterable[Finding], *, as_json: bool) -> None:
    if as_json:
        for finding in findings:
            print(msgspec.json.encode(finding).decode())
        return
    table = Table("", "what", "finding", box=None, pad_edge=False)
    counts = dict.fromkeys(MARKS, 0)
    alike: dict[tuple[str, str, str], list[str]] = {}  # what is said of several topics is said once
    for finding in findings:
        counts[finding.level] += 1
        alike.setdefault((finding.level, finding.message, finding.hint), []).append(finding.subject)
    for (level, message, hint), subjects in alike.items():
        word, style = MARKS[level]
        text = Text(message)
        if hint:
            text.append(f"\n→ {hint}", style="bold" if level == "failed" else "")
        table.add_row(Text(word, style=style), Text("\n".join(subjects)), text)
    # A pipe has no width: there lines stay whole, so that they can be searched.
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    failed, warned = counts["failed"], counts["warning"]
    console.print(f"\n{failed} to fix, {warned} to know, {counts['ok']} well")
