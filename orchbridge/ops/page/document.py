"""The whole document, and the policy under which a browser shows it: nothing but what stands in it."""

from __future__ import annotations

import base64
import hashlib

from orchbridge.core import times
from orchbridge.ops.page.ended import ended
from orchbridge.ops.page.failed import failed
from orchbridge.ops.page.flight import flight
from orchbridge.ops.page.glance import banner, glance
from orchbridge.ops.page.history import history
from orchbridge.ops.page.html import Child, Html, el, trusted
from orchbridge.ops.page.nodes import nodes
from orchbridge.ops.page.script import REFRESH_S, SCRIPT
from orchbridge.ops.page.sources import sources
from orchbridge.ops.page.style import STYLE
from orchbridge.ops.page.words import span
from orchbridge.ops.status import Status

LINKS = (
    ("Metrics", "metrics"),
    ("Metrics explained", "docs/metrics"),
    ("Status as JSON", "status.json"),
    ("Readiness", "readyz"),
    ("Health", "healthz"),
    ("Runbooks", "runbooks/"),
)


def _hash(inline: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page(status: Status, reasons: tuple[str, ...]) -> str:
    """Return the status page; `reasons` are why this worker is not ready. What came from outside is text."""
    word = "Not ready" if reasons else "Ready"
    main = el(
        "main",
        banner(status, reasons),
        glance(status),
        sources(status),
        flight(status),
        failed(status),
        ended(status),
        nodes(status),
        history(status),
        id="main",
    )
    stale = el("div", el("span", ""), class_="banner bad", role="alert", id="stale", hidden=True)
    up = el("small", f"{status.version}, up {span(status.now - status.started)}", id="up")
    every = el("meta", http_equiv="refresh", content=REFRESH_S)
    foot = el("footer", f"As of {times.text(status.now)}. It refreshes itself every {REFRESH_S} s.")
    return document(
        f"{word} · orchbridge", stale, main, note=up, foot=foot, head=[el("noscript", every)], script=SCRIPT
    )


def document(
    title: str,
    *body: Child,
    note: Child = None,
    foot: Child = None,
    head: Child = None,
    script: str = "",
    home: str = "",
) -> str:
    """Return a page of ours; `home` is the way from it to the status page."""
    links = [el("a", name, href=f"{home}{path}") for name, path in LINKS]
    at_home = [el("a", "orchbridge", href=home or ".")]
    inner = el(
        "div",
        el("a", "Skip to the content", href="#main", class_="skip"),
        el("header", el("h1", at_home) if not home else el("p", at_home, class_="home"), note,
           el("nav", links, aria_label="Other views")),
        *body,
        foot,
        class_="page",
    )  # fmt: skip
    return Html("<!doctype html>") + el(
        "html",
        el(
            "head",
            el("meta", charset="utf-8"),
            el("meta", name="viewport", content="width=device-width,initial-scale=1"),
            el("meta", name="robots", content="noindex"),
            el("meta", name="color-scheme", content="light dark"),
            head,
            el("title", title),
            el("style", trusted(STYLE)),
        ),
        el("body", inner, el("script", trusted(script)) if script else None),
        lang="en",
    )
