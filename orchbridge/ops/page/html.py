"""Markup that cannot be broken by what it tells: whatever is not `Html` is text, and is escaped where it is put in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import TypeAlias

EMPTY_TAGS = frozenset({"meta", "link", "br", "rect", "hr"})
# Neither text nor space: control characters, halves of surrogate pairs, what no document may hold.
_ODD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Html(str):
    """Markup made by the functions of this module, out of text that they escaped."""

    __slots__ = ()


Child: TypeAlias = "Html | str | int | Iterable[Html] | None"
Value: TypeAlias = str | int | float | bool | None


def trusted(markup: str) -> Html:
    """Return our own constant as markup; never for anything that was read."""
    return Html(markup)


def text(told: str) -> str:
    """Return a text escaped; characters that no document may hold become a mark."""
    shown = told if told.isprintable() else _ODD.sub("\N{REPLACEMENT CHARACTER}", told)
    return escape(shown)


def el(tag: str, *children: Child, **attributes: Value) -> Html:
    """Return an element: `el("a", "metrics", href="metrics", class_="soft", aria_label="...")`.

    Attributes that are None or False are left out, True ones have no value. What would be code
    (`onclick`, `style`, addresses other than http and relative ones) is refused with ValueError.
    """
    told = "".join(_attribute(name, value) for name, value in attributes.items() if value is not None)
    if tag in EMPTY_TAGS:
        return Html(f"<{tag}{told}>") if tag != "rect" else Html(f"<{tag}{told}/>")
    return Html(f"<{tag}{told}>{''.join(map(_child, children))}</{tag}>")


def said(told: str | None, none: str = "–") -> Html:
    """Return what somebody else wrote, kept apart so that its direction of writing stays its own."""
    return el("bdi", told) if told else el("bdi", none)


def web(url: str | None) -> str | None:
    """Return an address from outside if a link may lead there, else None."""
    return url if url is not None and url.startswith(("https://", "http://")) else None


def join(parts: Iterable[Html], between: str = " ") -> Html:
    """Return the parts with a text between them."""
    return Html(escape(between).join(parts))


def _child(child: Child) -> str:
    if isinstance(child, Html):
        return child
    if child is None:
        return ""
    if isinstance(child, str):
        return text(child)
    if isinstance(child, int):
        return str(child)
    return "".join(_child(each) for each in child)


def _attribute(name: str, value: Value) -> str:
    name = name.rstrip("_").replace("_", "-")
    if name.startswith("on") or name == "style":
        raise ValueError(f"{name} is code")
    if name in {"href", "src"} and isinstance(value, str) and ":" in value and web(value) is None:
        raise ValueError(f"{name} leads nowhere good: {value[:40]!r}")
    if isinstance(value, bool):
        return f" {name}" if value else ""
    return f' {name}="{text(str(value))}"'
