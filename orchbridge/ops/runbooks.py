"""The runbooks, served by the bridge itself: whoever is woken reads what to do where the alert points.

What the metrics mean is a page beside them, made from the catalogue of the version that runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable

from markdown_it import MarkdownIt
from markdown_it.token import Token

from orchbridge.ops import reference
from orchbridge.ops.page import document
from orchbridge.ops.page.html import Html, el, trusted

INDEX = "README"
HOME = "../"
METRICS = "docs/metrics"
STATUS = frozenset({HOME, "../status.md"})  # the second tells of the page; here one can look at it


@dataclass(frozen=True)
class Runbooks:
    """The pages that there are, by name: their markdown. Nothing else is ever looked up."""

    texts: Mapping[str, str]

    def page(self, name: str) -> str | None:
        """Return a runbook as a document, None where there is none of that name; "" is the index."""
        text = self._index if not name else self.texts.get(name)
        if text is None:
            return None
        return self._document(name or "Runbooks", text)

    @cached_property
    def metrics(self) -> str:
        """What each metric means, as a document for `METRICS`."""
        return self._document("What the metrics mean", reference.page())

    def _document(self, title: str, text: str) -> str:
        main = el("main", el("article", self._rendered(text), class_="prose"), id="main")
        return document(f"{title} · orchbridge", main, home=HOME)

    @property
    def _index(self) -> str:
        told = self.texts.get(INDEX)
        if told is not None:
            return told
        lines = [f"- [{name}]({name}.md)" for name in sorted(self.texts)] or ["None came with this installation."]
        return "\n".join(["# Runbooks", "", *lines])

    @cached_property
    def _markdown(self) -> MarkdownIt:
        return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")

    def _rendered(self, text: str) -> Html:
        tokens = self._markdown.parse(text)
        self._fit(tokens)
        return trusted(self._markdown.renderer.render(tokens, self._markdown.options, {}))

    def _fit(self, tokens: Iterable[Token]) -> None:
        """Make links lead to pages that are served here, give headings names, leave out styles (the policy forbids)."""
        heading: Token | None = None
        for token in tokens:
            if heading is not None:
                heading.attrSet("id", _slug(token.content))
            heading = token if token.type == "heading_open" else None
            token.attrs.pop("style", None)
            if token.type == "link_open":
                self._lead(token)
            self._fit(token.children or ())

    def _lead(self, token: Token) -> None:
        address = str(token.attrGet("href") or "")
        file, _, anchor = address.partition("#")
        name = file.removesuffix(".md")
        if address.startswith(("https://", "http://", "#")):
            token.attrSet("rel", "noreferrer")
        elif name == INDEX:
            token.attrSet("href", "./")
        elif address in STATUS:
            token.attrSet("href", HOME)
        elif address == "../metrics.md":
            token.attrSet("href", f"{HOME}{METRICS}")
        elif name in self.texts:
            token.attrSet("href", name + (f"#{anchor}" if anchor else ""))
        else:
            del token.attrs["href"]  # a file of the project that is not served


def runbooks() -> Runbooks:
    """Return the runbooks that came with this installation."""
    folder = resources.files("orchbridge") / "runbooks"
    return Runbooks(dict(_read(folder)) if folder.is_dir() else {})


def _read(folder: Traversable) -> Iterable[tuple[str, str]]:
    for file in folder.iterdir():
        if file.name.endswith(".md"):
            yield file.name.removesuffix(".md"), file.read_text(encoding="utf-8")


def _slug(heading: str) -> str:
    words = "".join(letter if letter.isalnum() or letter in " -" else "" for letter in heading.lower())
    return words.strip().replace(" ", "-")
