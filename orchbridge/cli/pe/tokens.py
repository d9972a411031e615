"""Tokens for people: got by a login, once, and looked at."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from orchbridge.cli.exits import DONE
from orchbridge.cli.pe.session import at_the_prompt
from orchbridge.cli.pe.telling import facts, json_line, printable, took, when
from orchbridge.core.errors import ConfigError
from orchbridge.orchestrator import Client
from orchbridge.orchestrator.access import Access
from orchbridge.orchestrator.console import rbac_address
from orchbridge.orchestrator.models import TokenInfo
from orchbridge.orchestrator.token_file import placing


async def log_in(client: Client, login: str, lifetime: str | None, label: str | None, *, as_json: bool) -> int:
    """Log in, once, and keep the token where it belongs; a token that cannot be kept is revoked."""
    access = client.access
    if access.token_file is None:
        raise ConfigError("the source has no token_file to keep a token in", hint="set token_file, or use --url")
    try:
        with placing(access.token_file) as put:
            issued = await client.tokens.login(login, _password(login, access), lifetime=lifetime, label=label)
            try:
                put(issued.token)
            except OSError:
                async with Client(replace(access, token=issued.token, token_file=None)) as own:
                    await own.tokens.revoke(tokens=[issued.token])
                raise
    except OSError as error:
        raise ConfigError(
            f"the token cannot be kept in {access.token_file}: {error.strerror}; there is no new one",
            hint="name another file with --token-file",
        ) from None
    info = await client.tokens.inspect()
    if as_json:
        json_line({**_shape(info), "kind": "login", "token_file": str(access.token_file)})
    else:
        kept = _home(access.token_file)
        print(f"logged in as {printable(info.login)}; the token is in {kept} and ends {_ends(info)}")
    return DONE


async def show_token(client: Client, *, as_json: bool) -> int:
    """Print what RBAC knows of the token."""
    info = await client.tokens.inspect()
    if as_json:
        json_line({**_shape(info), "kind": "token"})
        return DONE
    facts(
        (
            ("token of", printable(info.login)),
            ("name", printable(info.display_name or "")),
            ("made", when(info.created)),
            ("ends", _ends(info)),
            ("last used", when(info.last_active)),
            ("unused for", "" if info.timeout is None else f"{info.timeout} minutes at most, then it ends"),
            ("label", printable(info.label or "")),
            ("roles", ", ".join(map(str, info.role_ids))),
            ("superuser", "yes: it may do everything" if info.superuser else ""),
        )
    )
    return DONE


def _password(login: str, access: Access) -> str:
    """Return the password: asked for without showing it, or a line of standard input where that is no terminal."""
    if sys.stdin.isatty():
        with at_the_prompt():
            return str(click.prompt(f"password of {login} at {rbac_address(access)}", hide_input=True, err=True))
    line = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not line:
        raise ConfigError("no password", hint="write it to standard input, or log in on a terminal, which asks for it")
    return line


def _ends(info: TokenInfo) -> str:
    """Return `2026-05-01 08:00:00 UTC, in 89 d 23 h`, or why there is no such time."""
    if info.expires is None:
        return "never" if info.endless else "nobody knows when: RBAC does not tell"
    left = info.expires.timestamp() - time.time()
    return f"{when(info.expires)} UTC, {f'in {took(left)}' if left > 0 else 'which has passed'}"


def _shape(info: TokenInfo) -> dict[str, Any]:
    return {
        "kind": "",
        "login": info.login,
        "created": info.created,
        "expires": info.expires,
        "endless": info.endless,
        "last_active": info.last_active,
        "timeout": info.timeout,
        "superuser": info.superuser,
        "roles": info.role_ids,
        "label": info.label,
    }


def _home(path: Path) -> str:
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)
