"""Kafka's own command line tools, under the names that its distribution gives them, for scripts that are tested."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from tests import broker
from tests.fetching import fetch

MAINS = {"kafka-topics.sh": "TopicCommand", "kafka-acls.sh": "AclCommand"}
SHIM = """#!/bin/sh
printf '%s\\037' "$@" >> '{log}'; echo >> '{log}'
exec '{java}' -Xmx128m {flags} -Dlog4j2.configurationFile='{logging}' -cp '{tools}/*:{jars}/*' \\
  org.apache.kafka.tools.{main} "$@"
"""


def tools(folder: Path) -> Path:
    """Make `folder` hold the tools; return the file in which each notes how it was called. Raise NoBroker."""
    jars, java, log = broker.jars(), broker.java(), folder / "calls"
    beside = _fetched(jars.with_name(jars.name.replace("kafka-", "kafka-tools-")))
    folder.mkdir()
    log.touch()
    for name, main in MAINS.items():
        shim = folder / name
        shim.write_text(
            SHIM.format(
                log=log, java=java, flags=" ".join(broker.JVM), tools=beside, jars=jars, main=main,
                logging=broker.HERE / "log4j2.properties",
            )
        )  # fmt: skip
        shim.chmod(0o755)
    return log


def calls(log: Path) -> list[list[str]]:
    """Return the arguments of each call, in order."""
    return [line.split("\x1f")[:-1] for line in log.read_text().splitlines()]


def _fetched(folder: Path) -> Path:
    """Have the jar of the tools; all it needs lies beside the broker."""
    if folder.is_dir():
        return folder
    version = folder.name.removeprefix("kafka-tools-")
    draft = Path(tempfile.mkdtemp(prefix="tools-", dir=folder.parent))
    goal = ["mvn", "-B", "-q", "dependency:copy", f"-Dartifact=org.apache.kafka:kafka-tools:{version}"]
    try:
        if not shutil.which("mvn"):
            raise broker.NoBroker(f"Maven is missing; install it with: {broker.INSTALL}")
        done = fetch([*goal, f"-DoutputDirectory={draft}"], 300, cwd=draft)
        if done.returncode:
            raise broker.NoBroker(f"Maven could not fetch Kafka's tools: {(done.stdout + done.stderr)[-600:].strip()}")
        with contextlib.suppress(OSError):  # somebody else was faster
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder
