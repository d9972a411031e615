"""One replay as it will be done: its name, its lanes, where it goes, and the command that says so again."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchbridge.cli.replay.wanted import Wanted
from orchbridge.config import Jsonl, Settings, Source, Stdout, values
from orchbridge.core.errors import ConfigError
from orchbridge.core.ports import StreamId

KINDS = ("jobs", "plans")
SHARE = 0.25  # of the request budget, where nothing else is said


@dataclass(frozen=True, slots=True)
class Options:
    """The command's options as given; `share` is of the source's request budget, `patience_s` in seconds."""

    config: Path
    wanted: Wanted
    to: str
    source: str | None = None
    directory: Path | None = None
    share: float = SHARE
    patience_s: float = 120.0
    yes: bool = False
    again: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """What is read from where to where: `live` are the settings of the file, `target` those with the new prefix.

    `kinds` are the streams read, "jobs" before "plans".
    """

    options: Options
    live: Settings
    target: Settings
    source: Source
    kinds: tuple[str, ...]

    @property
    def wanted(self) -> Wanted:
        return self.options.wanted

    @property
    def id(self) -> str:
        """The same for the same source, wish and target, so that the same command finds its place again."""
        says = [self.source.name, *self.wanted.arguments(), self.options.to]
        return hashlib.sha256(json.dumps(says).encode()).hexdigest()[:10]

    def stream(self, kind: str) -> StreamId:
        """Return the lane that history of a kind is read on."""
        return StreamId(self.source.name, f"replay-{self.id}-{kind}")

    @property
    def streams(self) -> tuple[StreamId, ...]:
        return tuple(self.stream(kind) for kind in self.kinds)

    @property
    def elsewhere(self) -> bool:
        """Whether the records and their cursors go to another place than the live ones."""
        return self.options.directory is not None

    def command(self, *more: str) -> str:
        """Return the command that does this again, or goes on with it."""
        given = self.options
        told = ["orchbridge", "replay", "-c", str(given.config), "--source", self.source.name]
        told += [*self.wanted.arguments(), "--to", given.to]
        if given.directory is not None:
            told += ["--directory", str(given.directory)]
        if given.share != SHARE:
            told += ["--share", f"{given.share:g}"]
        return shlex.join([*told, *(["--yes"] if given.yes else []), *more])

    @property
    def prefix(self) -> str:
        """The target's prefix, written out."""
        return self.target.sink.topic_prefix.replace("{source}", self.source.name)

    @property
    def into_live(self) -> bool:
        """Whether consumers of the live records will see these beside them."""
        return not self.elsewhere and self.prefix in _prefixes(self.live)


def replay_of(options: Options, settings: Settings) -> Replay:
    """Return the replay that the options mean; raise ConfigError where there is none."""
    source = _source(settings.sources, options.source)
    if isinstance(settings.sink, Stdout):
        raise ConfigError(
            "the stdout sink has no memory, so a replay could never be resumed",
            hint='use sink.type = "kafka" or "jsonl"',
        )
    to = _prefix(options.to, source, settings if options.directory is None else None)
    changes: dict[str, object] = {"topic_prefix": to}
    if options.directory is not None:
        if not isinstance(settings.sink, Jsonl):
            raise ConfigError(
                f"--directory is for the jsonl sink, and this is {settings.sink.type}", hint="leave it out"
            )
        changes["directory"] = options.directory.absolute()
        if options.directory.resolve() == settings.sink.directory.resolve():
            raise ConfigError("--directory is the one that the bridge writes to", hint="leave it out, or name another")
    target = settings.model_copy(update={"sink": settings.sink.model_copy(update=changes)})
    return Replay(options, settings, target, source, _kinds(options.wanted, source))


def _prefixes(settings: Settings) -> dict[str, str]:
    """Return the prefixes of the live records, written out -> their source."""
    return {settings.sink.topic_prefix.replace("{source}", source.name): source.name for source in settings.sources}


def _source(sources: Sequence[Source], name: str | None) -> Source:
    known: Mapping[str, Source] = {source.name: source for source in sources}
    if name is None:
        if len(sources) > 1:
            raise ConfigError("there are several sources", hint=f"choose one: --source {' or '.join(known)}")
        return sources[0]
    if name not in known:
        raise ConfigError(f"there is no source {name}", hint=f"choose from {', '.join(known)}")
    return known[name]


def _kinds(wanted: Wanted, source: Source) -> tuple[str, ...]:
    if wanted.since is None:
        return tuple(kind for kind in KINDS if wanted.spans(kind))
    kinds = tuple(kind for kind in KINDS if kind in source.streams)
    if not kinds:
        raise ConfigError(
            f"source {source.name} reads neither jobs nor plans", hint="name ids instead: --jobs 350..400"
        )
    return kinds


def _prefix(to: str, source: Source, beside: Settings | None) -> str:
    """Return the target's topic prefix, made sure that it makes names Kafka takes and keys as they are there."""
    try:
        values.topic_prefix(to)
    except ValueError as error:
        raise ConfigError(f"--to {to!r} {error}".replace("pe.{source}", "replayed.{source}")) from None
    written = to.replace("{source}", source.name)
    length = len(written) + values.LONGEST_CHANNEL
    if length > values.TOPIC_MAX:
        raise ConfigError(
            f"--to makes topic names of {length} characters, Kafka takes {values.TOPIC_MAX}", hint="write a shorter one"
        )
    live = {} if beside is None else _prefixes(beside)
    if beside is None or written not in live:
        return to
    if beside.sink.topic_prefix != written and live[written] != source.name:
        raise ConfigError(f"--to {to} is where the live records of {live[written]} go", hint="name another prefix")
    return beside.sink.topic_prefix
