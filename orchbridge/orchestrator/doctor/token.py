"""What is said of a token: where it comes from, whether it is taken, how long it lasts."""

from __future__ import annotations

import stat
import time

from orchbridge.core.errors import ConfigError
from orchbridge.core.ports import Finding
from orchbridge.orchestrator import errors
from orchbridge.orchestrator.access import Access
from orchbridge.orchestrator.client import Client
from orchbridge.orchestrator.console import rbac_address
from orchbridge.orchestrator.doctor.findings import failed, ok, warning
from orchbridge.orchestrator.failures import PERMISSION, Denial
from orchbridge.orchestrator.look import Look
from orchbridge.orchestrator.models import TokenInfo
from orchbridge.orchestrator.tokens import Token

DAYS_LEFT_MIN = 14
DAY_S = 86_400.0


def found(access: Access, token: Token) -> Finding:
    """Return where the token comes from, and who else can read it."""
    refusal = token.read()
    if refusal:
        return failed("token", refusal.message, refusal.hint)
    if access.token_file:
        if access.token_file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            said = f"everybody on this machine can read {access.token_file}; the token can also stop jobs"
            return warning("token", said, f"chmod 600 {access.token_file}")
        return ok("token", f"read from {access.token_file}")
    if access.token:
        return ok("token", "given in the settings; it cannot be renewed without a restart, a token_file can")
    if access.client_cert_file:
        return warning(
            "token", "only a client certificate is configured", "servers usually want a token: set token_file"
        )
    return failed("token", "no token is configured", "set token_file: puppet-access login --lifetime 1y")


def accepted(root: Look) -> Finding:
    """Return whether the orchestrator takes it."""
    if isinstance(root.problem, Denial) and root.problem.everything:
        return failed("token accepted", root.reason, root.problem.hint)
    if root.problem:
        hint = "wait until the server is up, then check again; or correct the url"
        return failed("token accepted", root.reason, hint)
    return ok("token accepted", "the orchestrator API answers")


async def life(access: Access, *, renewed: bool = False) -> list[Finding]:
    """Ask RBAC how long it lasts and whose it is; say so where nobody tells. With `renewed` its end is no matter."""
    try:
        where = rbac_address(access)
        async with Client(access) as client:
            told = await client.tokens.inspect()
    except errors.TokenRefused as error:
        return [failed("token life", f"RBAC says: {error}", error.hint)]
    except errors.ApiError as error:
        hint = f"let this machine reach {where}, or set rbac_url; until then note the day yourself"
        return [warning("token life", f"nobody tells: {error}", hint)]
    except ConfigError as error:
        return [warning("token life", f"cannot be asked: {error}", error.hint)]
    return [_ends(access, told, renewed=renewed), *_owner(told)]


def _ends(access: Access, told: TokenInfo, *, renewed: bool) -> Finding:
    whose = f" of {told.login}" if told.login else ""
    if told.endless:
        return ok("token life", f"the token{whose} has no end")
    if told.expires is None:
        hint = "note the day yourself: puppet-access login said it"
        return warning("token life", f"RBAC does not tell when the token{whose} ends", hint)
    days = (told.expires.timestamp() - time.time()) / DAY_S
    until = told.expires.strftime("%Y-%m-%d %H:%M UTC")
    hours = days * DAY_S / 3600
    left = f"{days:.1f} days" if days >= 1 else f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.0f} minutes"
    said = f"the token{whose} ends on {until}, in {left}" if days > 0 else f"the token{whose} ended on {until}"
    if days >= DAYS_LEFT_MIN or (renewed and days > 0):
        return ok("token life", f"{said}; it is renewed before" if renewed else said)
    hint = f"put a fresh one into {access.token_file or 'the settings'}: puppet-access login --lifetime 1y"
    return failed("token life", said, hint) if days <= 0 else warning("token life", said, hint)


def _owner(told: TokenInfo) -> list[Finding]:
    if not told.superuser:
        return []
    said = f"{told.login or 'its user'} may do everything in PE, and so may whoever reads the token"
    hint = f"take a token of a user with one role that has {PERMISSION} and nothing else"
    return [warning("token rights", said, hint)]
