"""The check from the file to its verdict."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from orchbridge.cli import wiring
from orchbridge.cli.check import canary, port, renewal
from orchbridge.cli.check.show import Part, show
from orchbridge.cli.exits import CHECK_FAILED, CONFIGURATION, DONE
from orchbridge.config import Jsonl, Kafka, Settings, load, missing_files
from orchbridge.core.errors import ConfigError, OrchbridgeError
from orchbridge.core.ports import Finding
from orchbridge.orchestrator.doctor import Reading, probe

SINK_LIMIT_S = 60.0


async def check_all(path: Path, *, offline: bool, as_json: bool) -> int:
    """Check file, port, sources and sink in one pass; return 0, 2 (this machine's files) or 3 (anything else)."""
    logging.disable(logging.CRITICAL)  # the libraries' own lines say less than the table
    structlog.configure(processors=[_silent])
    try:
        settings = load(path, os.environ, files_exist=False)
    except ConfigError as error:
        findings = [
            Finding("configuration", "failed", line, "see config.example.toml") for line in str(error).split("\n")
        ]
        show([Part("configuration", str(path), tuple(findings))], as_json=as_json)
        return CONFIGURATION
    files = [Finding(key, "failed", complaint, _hint(key)) for key, complaint in missing_files(settings)]
    findings = [Finding("configuration", "ok", f"{path} is valid"), *files]
    findings += [Finding("configuration", "warning", line) for line in settings.warnings]
    here = [
        Part("configuration", str(path), tuple(findings)),
        Part("operations port", settings.http.listen, port.inspect(settings.http)),
    ]
    elsewhere = [] if offline else await _elsewhere(settings)
    show([*here, *elsewhere], as_json=as_json)
    if any(part.failed for part in here):
        return CONFIGURATION
    return CHECK_FAILED if any(part.failed for part in elsewhere) else DONE


def _silent(_: object, __: str, ___: object) -> str:
    raise structlog.DropEvent


def _hint(key: str) -> str:
    return f"create it, readable to the user orchbridge runs as (uid {os.geteuid()}), or correct {key}"


async def _elsewhere(settings: Settings) -> list[Part]:
    """Ask the sources and the sink at the same time."""
    async with asyncio.TaskGroup() as group:
        sources = [group.create_task(_source(settings, at)) for at in range(len(settings.sources))]
        sink = group.create_task(_sink(settings))
    return [*(task.result() for task in sources), sink.result()]


async def _source(settings: Settings, at: int) -> Part:
    source = settings.sources[at]
    findings: Iterable[Finding]
    try:
        reading = Reading(source.streams, source.poll_interval_s, source.activity_services, source.renew_token)
        findings = await probe(wiring.access_of(source), reading)
        findings = (*findings, *renewal.inspect(source), *await canary.inspect(source))
    except OrchbridgeError as error:
        findings = [Finding(f"source {source.name}", "failed", str(error), error.hint)]
    return Part(f"source {source.name}", urlsplit(str(source.url)).netloc, tuple(findings), f"{source.name}: ")


async def _sink(settings: Settings) -> Part:
    name = f"sink {settings.sink.type}"
    findings: Iterable[Finding]
    try:
        streams = wiring.streams_of(settings)
        sink = wiring.sink_of(settings.sink)
        async with asyncio.timeout(SINK_LIMIT_S):
            try:
                findings = await sink.check([stream.id for several in streams.values() for stream in several])
            finally:
                await sink.close()
    except OrchbridgeError as error:
        findings = [Finding(name, "failed", str(error), error.hint)]
    except TimeoutError:
        findings = [Finding(name, "failed", f"no answer within {SINK_LIMIT_S:.0f} s", "is it reachable and well?")]
    match settings.sink:
        case Kafka(bootstrap_servers=place):
            return Part(name, place, tuple(findings))
        case Jsonl(directory=folder):
            return Part(name, str(folder), tuple(findings))
        case _:
            return Part(name, "", tuple(findings))
