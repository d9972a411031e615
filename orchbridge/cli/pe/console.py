"""The commands that ask the console's services, RBAC and Activity, as click shows them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import click

from orchbridge.cli.pe.options import AS_JSON, RBAC_URL, Options, carried_out, place

DAY = click.DateTime(formats=["%Y-%m-%d"])
LIMIT = click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many at most.")


@click.command(short_help="Get a token: log in, once.")
@click.argument("login", metavar="LOGIN")
@RBAC_URL
@place
@click.option("--lifetime", metavar="TIME", help="So long it is to last: 12h, 90d, 1y; the server decides otherwise.")
@click.option("--label", metavar="TEXT", help="What it is known by where tokens are managed.")
@AS_JSON
def login(login: str, options: Options, lifetime: str | None, label: str | None, *, as_json: bool) -> None:
    """Get a token with name and password, and keep it in the token's file, which nobody else can read.

    The password is asked for without showing it, or read from standard input where that is no terminal. It is
    tried once: after ten refused logins in a row PE revokes the account. --token-file says where the token is
    kept, ~/.puppetlabs/token otherwise.
    """
    from orchbridge.cli.pe.tokens import log_in

    carried_out(
        replace(options, token_there=False),
        lambda client: log_in(client, login, lifetime, label, as_json=as_json),
    )


@click.command(short_help="Show whose the token is, and when it ends.")
@RBAC_URL
@place
@AS_JSON
def token(options: Options, *, as_json: bool) -> None:
    """Show whose the token is and when it ends, as RBAC tells it; ends with 3 where it is of no use any more."""
    from orchbridge.cli.pe.tokens import show_token

    carried_out(options, lambda client: show_token(client, as_json=as_json))


@click.command(short_help="Show who did what, newest first.")
@RBAC_URL
@place
@click.option("--service", metavar="NAME", help="Only of rbac, classifier, code-manager or pe-console (jobs).")
@LIMIT
@click.option("--since", metavar="YYYY-MM-DD", type=DAY, help="From this day on (UTC).")
@click.option("--until", metavar="YYYY-MM-DD", type=DAY, help="Up to this day.")
@AS_JSON
def activity(
    options: Options, service: str | None, limit: int, since: datetime | None, until: datetime | None, *, as_json: bool
) -> None:
    """Show who did what, newest first, from the activity log of the console."""
    from orchbridge.cli.pe.activity import list_activity

    start, end = since, until
    if since or until:  # the server takes both or none
        start = (since or datetime(1970, 1, 1)).replace(tzinfo=UTC)
        end = (until or datetime(9999, 1, 1)).replace(hour=23, minute=59, second=59, tzinfo=UTC)
    carried_out(options, lambda client: list_activity(client, service, limit, start, end, as_json=as_json))


COMMANDS: tuple[click.Command, ...] = (login, token, activity)
