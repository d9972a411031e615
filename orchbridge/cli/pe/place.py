"""Which Puppet Enterprise is meant, and with which token: options, the bridge's file, or PE's own tools' files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from orchbridge.cli.pe.options import Options
from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator.access import Access, base_url

CONF = "client-tools/orchestrator.conf"
GLOBAL_CONF = Path("/etc/puppetlabs") / CONF
GLOBAL_CA = Path("/etc/puppetlabs/puppet/ssl/certs/ca.pem")  # what PE's own tools take where no cacert is named


@dataclass(frozen=True, slots=True)
class Place:
    """How to get there, and where that is known from, in words."""

    access: Access
    origin: str

    def line(self) -> str:
        """Return what the person is told about it; raise ConfigError where the url may hold a secret or is none."""
        return f"{base_url(self.access)} ({self.origin})"


def find(options: Options, environ: Mapping[str, str]) -> Place:
    """Return the place that is meant; raise ConfigError where none is, or more than one."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path("~").expanduser()
    if options.config is not None:
        return _configured(options, options.config, environ)
    if options.source is not None:
        raise ConfigError("--source names a source of a configuration file", hint="give the file as well: -c FILE")
    if options.url is not None:
        token = options.token_file or home / ".puppetlabs/token"
        if options.token_there and options.token_file is None and _if_there(token) is None:
            raise ConfigError(
                "no token was given, and there is no ~/.puppetlabs/token",
                hint="log in with `orchbridge pe login` or puppet-access, or name the token's file with --token-file",
            )
        access = _access(options.url, token, options.ca_file, options.rbac_url)
        return Place(access, f"--url, token {_short(token, home)}")
    return _of_pe_tools(options, home)


def _configured(options: Options, path: Path, environ: Mapping[str, str]) -> Place:
    from orchbridge.cli.wiring import access_of
    from orchbridge.config import load

    beside = {
        "--url": options.url,
        "--token-file": options.token_file,
        "--ca-file": options.ca_file,
        "--rbac-url": options.rbac_url,
    }
    given = [name for name, value in beside.items() if value is not None]
    if given:
        raise ConfigError(f"-c and {given[0]} both say which PE is meant", hint="give one of them")
    sources = load(path, environ, files_exist=False).sources  # the sink's files need not be readable here
    names = ", ".join(source.name for source in sources)
    if options.source is None:
        if len(sources) > 1:
            raise ConfigError(f"{path} has several sources: {names}", hint="say which one: --source NAME")
        return Place(access_of(sources[0]), f"source {sources[0].name} of {path}")
    for source in sources:
        if source.name == options.source:
            return Place(access_of(source), f"source {source.name} of {path}")
    raise ConfigError(f"{path} has no source {options.source!r}", hint=f"it has {names}")


def _of_pe_tools(options: Options, home: Path) -> Place:
    own = home / ".puppetlabs" / CONF
    files = [path for path in (GLOBAL_CONF, own) if path.exists()]
    told: dict[str, Any] = {}
    for path in files:
        told |= _options_in(path)
    url = told.get("service-url")
    if not isinstance(url, str) or not url:
        known = f"{' and '.join(map(str, files))} have no service-url" if files else f"there is no {own}"
        raise ConfigError(
            f"which Puppet Enterprise is meant? {known}",
            hint="name it with -c FILE (a configuration of orchbridge) or with --url https://pe.example.com:8143",
        )
    token = options.token_file or _path(told.get("token-file"), home) or home / ".puppetlabs/token"
    authority = options.ca_file or _path(told.get("cacert"), home) or _if_there(GLOBAL_CA)
    files_told = " and ".join(_short(path, home) for path in files)
    access = _access(url, token, authority, options.rbac_url)
    return Place(access, f"{files_told}, token {_short(token, home)}")


def _options_in(path: Path) -> dict[str, Any]:
    hint = "mend it, or name the PE with -c FILE or --url"
    try:
        told = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint=hint) from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ConfigError(f"{path} is not JSON", hint=hint) from None
    options = told.get("options") if isinstance(told, dict) else None
    if not isinstance(options, dict):
        raise ConfigError(f'{path} has no "options"', hint=hint)
    return options


def _access(url: str, token: Path, authority: Path | None, rbac_url: str | None) -> Access:
    return Access(name="pe", url=url.rstrip("/"), token_file=token, ca_file=authority, rbac_url=rbac_url)


def _path(told: Any, home: Path) -> Path | None:
    if not isinstance(told, str) or not told:
        return None
    return home / told.removeprefix("~/") if told.startswith("~/") else Path(told)


def _if_there(path: Path) -> Path | None:
    return path if os.access(path, os.R_OK) else None


def _short(path: Path, home: Path) -> str:
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
