"""Reading the configuration, once: all of it, or every reason why not."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchbridge.config import values
from orchbridge.config.model import Http, Section, Settings
from orchbridge.config.overlay import overlay
from orchbridge.config.problems import Path as Key
from orchbridge.config.problems import Problem, complaints, key
from orchbridge.config.rules import broken_rules, sink_of
from orchbridge.core.errors import ConfigError


def load(path: Path, environ: Mapping[str, str], *, files_exist: bool = True) -> Settings:
    """Return the settings of this TOML file under these environment variables.

    Raise ConfigError with one line for each problem: file, key, what is wrong, what to write.
    With `files_exist` a file that a key names must be there and readable; without it,
    `missing_files` tells. No secret is ever in a message.
    """
    found = overlay(_read(path), environ)
    raw, warnings = sink_of(found.raw)
    problems = [*found.problems, *broken_rules(raw)]
    settings = None
    where = values.WHERE.set(values.Where(path.absolute().parent, files_exist))
    try:
        settings = Settings(**raw)
    except ValidationError as error:
        problems += complaints(error)
    finally:
        values.WHERE.reset(where)
    if settings is None or problems:
        # From None: a validation error's own text and arguments would go along into a traceback.
        raise ConfigError("\n".join(_lines(path, problems, found.origins))) from None
    settings._warnings = (*warnings, *_exposed(settings.http))
    return settings


def _exposed(http: Http) -> Iterator[str]:
    secrets = [name for name in ("bearer_token", "basic_password") if http.has(name)]
    if secrets and not http.tls_cert_file and not values.loopback(http.host):
        told = " and ".join(f"http.{name}" for name in secrets)
        yield (
            f'{told} cross the network in clear text to http.listen = "{http.listen}";'
            " set http.tls_cert_file and http.tls_key_file"
        )


def missing_files(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return (key, complaint) for every file that a key names and that cannot be read."""
    return tuple(
        (key(place), complaint)
        for place, file in _files(settings, ())
        if (complaint := values.unusable(file)) is not None
    )


def _files(section: Section, path: Key) -> Iterator[tuple[Key, Path]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Path) and name.endswith("file"):
            yield (*path, name), value
        elif isinstance(value, Section):
            yield from _files(value, (*path, name))
        elif isinstance(value, tuple):
            for number, item in enumerate(value):
                if isinstance(item, Section):
                    yield from _files(item, (*path, name, number))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror})", hint="name the configuration file with -c FILE"
        ) from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text", hint="save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is not TOML: {error}", hint="put text in quotes and write one key a line") from None


def _lines(path: Path, problems: Iterable[Problem], origins: Mapping[Key, str]) -> Iterator[str]:
    """Yield one line a problem, in the order of the keys, the environment's own names last."""
    order = {name: place for place, name in enumerate(Settings.model_fields)}
    for problem in sorted(
        set(problems), key=lambda each: (order.get(str(each.path[0]), 99), key(each.path), each.text)
    ):
        if problem.path[0] not in order and str(problem.path[0]).isupper():
            yield f"environment: {problem.path[0]} {problem.text}"
            continue
        variable = origins.get(problem.path)
        yield f"{path}: {key(problem.path)}{f' (from {variable})' if variable else ''}: {problem.text}"
