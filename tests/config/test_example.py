"""`config.example.toml` shows every key, and no other; what it shows can be used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from orchbridge.config import (
    Canary,
    Http,
    Jsonl,
    Kafka,
    Log,
    Metrics,
    Redaction,
    Settings,
    Source,
    Stdout,
    load,
    missing_files,
)

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
TABLES: dict[str, tuple[type[BaseModel], ...]] = {
    "sources": (Source,),
    "sources.canary": (Canary,),
    "sink": (Kafka, Jsonl, Stdout),
    "http": (Http,),
    "metrics": (Metrics,),
    "log": (Log,),
    "redaction": (Redaction,),
}
KEY = re.compile(r"(# )?(\w+) = (.+)")


def shown() -> Iterator[tuple[str, str, str, str]]:
    """Yield (table, key, value, comment) of every key in the example, commented out or not."""
    table = ""
    for line in EXAMPLE.read_text().splitlines():
        if heading := re.fullmatch(r"(?:# )?\[+([\w.]+)\]+", line):
            table = heading[1]
        elif found := KEY.match(line):
            value, _, comment = found[3].partition("  #")
            yield table, found[2], value.strip(), comment


def test_it_loads_and_says_what_is_missing() -> None:
    settings = load(EXAMPLE, {}, files_exist=False)
    assert settings.sources[0].name == "prod"
    assert isinstance(settings.sink, Kafka)
    assert settings.warnings == ()
    assert [key for key, _ in missing_files(settings)] == ["sources[0].ca_file", "sources[0].token_file"]


def test_it_shows_every_key_once_and_no_other() -> None:
    found = sorted((table, key) for table, key, _, _ in shown())
    known = {(table, key) for table, models in TABLES.items() for model in models for key in model.model_fields}
    assert found == sorted(known - {("sources", "canary")})
    assert set(TABLES) == {*Settings.model_fields, "sources.canary"}


def test_defaults_that_are_commented_out_are_the_defaults() -> None:
    for table, key, value, _ in shown():
        fields = [model.model_fields[key] for model in TABLES[table] if key in model.model_fields]
        if all(field.is_required() or field.default is None or field.examples for field in fields) or key == "type":
            continue
        for field in fields:
            default = field.default
            text = str(list(default)) if isinstance(default, tuple) else str(default)
            assert value.strip('"').replace('"', "'") == (text.lower() if isinstance(default, bool) else text), key


@pytest.mark.parametrize("sink", ["kafka", "jsonl", "stdout"])
def test_everything_shown_can_be_used(sink: str, tmp_path: Path) -> None:
    """All keys together, except those that exclude each other."""
    lines = ["[[sources]]"]
    table = "sources"
    for place, key, value, _ in shown():
        if place != table:
            table = place
            lines.append(f"[{table}]")
        if key in {"params", "token", "proxy", "sasl_plain_password", "ssl_password", "bearer_token", "basic_password"}:
            continue
        chosen = {"type": f'"{sink}"', "security_protocol": '"SASL_SSL"'}
        lines.append(f"{key} = {chosen.get(key, value)}")
    path = tmp_path / "orchbridge.toml"
    path.write_text("\n".join(lines))
    settings = load(path, {}, files_exist=False)
    assert settings.sink.type == sink
    assert bool(settings.warnings)
