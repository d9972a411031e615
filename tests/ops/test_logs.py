"""The log: one form for our lines and the libraries', and never a secret."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from orchbridge.ops import logs

SECRET = "hunter2"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave logging as we found it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def written(level: Any = "info", form: Any = "json", stream: io.StringIO | None = None) -> io.StringIO:
    stream = stream if stream is not None else io.StringIO()
    logs.configure(level, form, stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_with_time_in_utc() -> None:
    stream = written()
    structlog.get_logger().info("batch.committed", records=3)
    line = lines(stream)[0]
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["timestamp"].endswith("Z")
    assert (line["event"], line["records"]) == ("batch.committed", 3)


@pytest.mark.parametrize(("level", "told"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_levels(level: str, told: int) -> None:
    stream = written(level)
    log = structlog.get_logger()
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert len(lines(stream)) == told


def test_auto_is_console_on_a_terminal_and_json_elsewhere() -> None:
    terminal, file = written(form="auto", stream=Terminal()), io.StringIO()
    structlog.get_logger().info("stream.claimed")
    logs.configure("info", "auto", file)
    structlog.get_logger().info("stream.claimed")
    assert "stream.claimed" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    assert lines(file)[0]["event"] == "stream.claimed"


@pytest.mark.parametrize("form", ["json", "console"])
def test_libraries_speak_at_warning_and_in_our_form(form: str) -> None:
    stream = written("debug", form)
    logging.getLogger("httpx").info("HTTP Request: GET https://pe")
    logging.getLogger("aiokafka.producer").warning("leader moved to %s", "kafka-2")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=1)
    text = stream.getvalue()
    assert "HTTP Request" not in text
    assert "leader moved to kafka-2" in text
    assert "aiokafka.producer" in text
    assert "careful" in text


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_masked_wherever_they_stand(form: str) -> None:
    stream = written("debug", form)
    log = structlog.get_logger()
    log.info("x", token=SECRET, sasl_plain_password=SECRET, headers={"X-Authentication": SECRET, "Cookie": SECRET})
    log.info("x", deep=[{"a": {"private_key": SECRET}}], wrapped=SecretStr(SECRET), api_key=[SECRET])
    log.bind(secret=SECRET).warning("x")
    foreign = logging.getLogger("aiokafka")
    foreign.warning("failed with X-Authentication: %s", SECRET)
    foreign.error("login password=%s failed at https://user:%s@pe:8143/", SECRET, SECRET)
    assert SECRET not in stream.getvalue()
    assert stream.getvalue().count(logs.MASK) >= 8


@pytest.mark.parametrize("form", ["json", "console"])
def test_tracebacks_do_not_show_values(form: str) -> None:
    stream = written("info", form)

    def fail(token: str) -> None:
        raise RuntimeError(f"{len(token)} characters")

    try:
        fail(SECRET)
    except RuntimeError:
        structlog.get_logger().exception("bug.found")
        logging.getLogger("asyncio").exception("task died")
    assert SECRET not in stream.getvalue()
    assert stream.getvalue().count("RuntimeError: 7 characters") == 2


def test_names_and_places_of_secrets_are_told() -> None:
    stream = written()
    structlog.get_logger().info("x", token_file="/etc/token", hint="the token has expired: write a new one", stage=None)
    assert lines(stream)[0]["token_file"] == "/etc/token"
    assert lines(stream)[0]["hint"] == "the token has expired: write a new one"


def test_what_is_no_json_is_written_as_text() -> None:
    stream = written()
    structlog.get_logger().info("x", error=ValueError("odd"), many={1})
    assert lines(stream)[0]["error"] == "odd"


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_line_end_in_a_text_cannot_forge_a_line(form: str) -> None:
    stream = written("info", form)
    structlog.get_logger().info("x", name="a\nforged", nested={"a": "b\x1b[2J\nforged"})
    logging.getLogger("asyncio").warning("a\nforged")
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b" not in stream.getvalue()


def test_a_library_that_repeats_itself_is_heard_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr(logging.LogRecord, "created", property(lambda _: now[0], lambda _, __: None), raising=False)
    out = written()
    for _ in range(70):
        logging.getLogger("aiokafka").error("Unable connect to node with id %s: %s", 1, "refused")
        now[0] += 1
    logging.getLogger("aiokafka").error("something else")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["event"], line.get("unsaid")) for line in lines] == [
        ("Unable connect to node with id 1: refused", None),
        ("Unable connect to node with id 1: refused", 59),
        ("something else", None),
    ]
