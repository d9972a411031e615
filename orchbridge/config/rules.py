"""What no single key can say: pairs, doubles and names that only fit together or not at all.

The rules read the raw content, before the settings are made, so that one run reports
everything that is wrong.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Mapping
from typing import Any

from orchbridge.config.model import SINKS, Canary, Http, Section, Source
from orchbridge.config.problems import Path, Problem
from orchbridge.config.values import LONGEST_CHANNEL, TOPIC_MAX

_SASL = ("sasl_plain_username", "sasl_plain_password", "sasl_plain_password_file")
_TRUE = {"true", "1", "yes", "y", "on", "t"}  # as the settings take them
_CANARY_TIMES = ("timeout_s", "interval_s")
_TLS = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password", "ssl_password_file")


def sink_of(raw: Mapping[str, Any]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return the content without the keys of other sinks than the chosen one, and a warning for each of them."""
    sink = raw.get("sink")
    if not isinstance(sink, dict) or sink.get("type") not in SINKS:
        return raw, ()
    own = SINKS[sink["type"]].model_fields
    foreign = {name: type_ for type_, model in SINKS.items() for name in model.model_fields if name not in own}
    warnings = tuple(
        f'sink.{name} is ignored: it belongs to type "{foreign[name]}", and type is "{sink["type"]}"'
        for name in sink
        if name in foreign
    )
    return {**raw, "sink": {name: value for name, value in sink.items() if name not in foreign}}, warnings


def broken_rules(raw: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield what does not fit together."""
    sources = [item for item in _list(raw.get("sources")) if isinstance(item, dict)]
    for number, source in enumerate(sources):
        yield from _source(("sources", number), source)
    yield from _names(sources)
    sink = raw.get("sink")
    if isinstance(sink, dict) and sink.get("type") in SINKS:
        yield from _both(("sink",), SINKS[sink["type"]], sink)
        yield from _prefix(sink, sources)
        if sink["type"] == "kafka":
            yield from _kafka(sink)
    http = raw.get("http")
    if isinstance(http, dict):
        yield from _http(http)


def _source(path: Path, source: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _both(path, Source, source)
    yield from _canary(path, source)
    if str(source.get("renew_token")).lower() in _TRUE and "token_file" not in source:
        yield Problem(
            (*path, "token_file"),
            "is missing: renew_token writes the new token there; write the token into a file of the bridge's own,"
            ' token_file = "/var/lib/orchbridge/token"',
        )
    pair = ("client_cert_file", "client_key_file")
    for given, absent in (pair, pair[::-1]):
        if given in source and absent not in source:
            yield Problem((*path, absent), f"is missing: {given} is useless without it; write both or neither")
    simulated = str(source.get("url", "")).startswith("http://")  # on this machine; it may let everybody in
    if not simulated and not {"token", "token_file", "client_cert_file", "client_key_file"} & source.keys():
        yield Problem((*path, "token_file"), 'is missing; write token_file = "/etc/orchbridge/token"')


def _canary(path: Path, source: Mapping[str, Any]) -> Iterator[Problem]:
    canary = source.get("canary")
    if not isinstance(canary, dict):
        return
    if "params" in canary and "params_file" in canary:
        yield Problem((*path, "canary", "params"), "stands beside params_file; keep one of them")
    streams = source.get("streams")
    if isinstance(streams, list) and "jobs" not in streams:
        yield Problem((*path, "canary"), 'arrives through the stream "jobs"; add it to streams')
    nodes = canary.get("nodes")
    named = nodes if isinstance(nodes, list) else []
    twice = [node for at, node in enumerate(named) if node in named[:at]]
    if twice:
        yield Problem((*path, "canary", "nodes"), f"names {twice[0]} twice; name it once")
    timeout, interval = (_number(canary.get(name, Canary.model_fields[name].default)) for name in _CANARY_TIMES)
    if timeout > interval:
        given = "" if "timeout_s" in canary else " where it is left out"
        yield Problem(
            (*path, "canary", "timeout_s"),
            f"is {timeout:g}{given}, longer than interval_s, {interval:g}; write timeout_s = {interval:g}",
        )


def _number(value: Any) -> float:
    """Return a number in a file or in text; the settings themselves complain about what is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _both(path: Path, model: type[Section], table: Mapping[str, Any]) -> Iterator[Problem]:
    """A secret stands in place or in a file; with both nobody can tell which one is meant."""
    for name in model.model_fields:
        if f"{name}_file" in model.model_fields and name in table and f"{name}_file" in table:
            yield Problem((*path, name), f"stands beside {name}_file; keep one of them, better {name}_file")


def _names(sources: list[dict[str, Any]]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, source in enumerate(sources):
        name = source.get("name")
        if isinstance(name, str) and first.setdefault(name, number) != number:
            yield Problem(
                ("sources", number, "name"),
                f'"{name[:63]}" is also the name of sources[{first[name]}]; give every source its own',
            )


def _prefix(sink: Mapping[str, Any], sources: list[dict[str, Any]]) -> Iterator[Problem]:
    prefix = sink.get("topic_prefix", "pe.{source}")
    if not isinstance(prefix, str):
        return
    longest = max((len(str(source.get("name", ""))) for source in sources), default=0)
    length = len(prefix.replace("{source}", "x" * min(longest, 63))) + LONGEST_CHANNEL
    if length > TOPIC_MAX:
        yield Problem(
            ("sink", "topic_prefix"),
            f"makes topic names of {length} characters, Kafka takes {TOPIC_MAX}; write a shorter one",
        )


def _kafka(sink: Mapping[str, Any]) -> Iterator[Problem]:
    protocol = str(sink.get("security_protocol", "PLAINTEXT"))
    if protocol.startswith("SASL"):
        if "sasl_plain_username" not in sink:
            yield Problem(
                ("sink", "sasl_plain_username"),
                f'is missing: {protocol} needs it; write sasl_plain_username = "orchbridge"',
            )
        if not {"sasl_plain_password", "sasl_plain_password_file"} & sink.keys():
            yield Problem(
                ("sink", "sasl_plain_password_file"),
                f'is missing: {protocol} needs it; write sasl_plain_password_file = "/etc/orchbridge/kafka-password"',
            )
    if protocol in {"PLAINTEXT", "SSL"}:
        better = "SASL_SSL" if protocol == "SSL" or set(_TLS) & sink.keys() else "SASL_PLAINTEXT or SASL_SSL"
        yield from _useless(sink, _SASL, protocol, better)
    if protocol in {"PLAINTEXT", "SASL_PLAINTEXT"}:
        yield from _useless(sink, _TLS, protocol, "SASL_SSL" if set(_SASL) & sink.keys() else "SSL")
    if "ssl_keyfile" in sink and "ssl_certfile" not in sink:
        yield Problem(
            ("sink", "ssl_certfile"),
            'is missing: ssl_keyfile is useless without it; write ssl_certfile = "/etc/orchbridge/kafka.pem"',
        )
    compression = sink.get("compression")
    if compression in {"snappy", "lz4", "zstd"} and importlib.util.find_spec("cramjam") is None:
        yield Problem(
            ("sink", "compression"),
            f'"{compression}" needs the Python package cramjam, which is not installed; install it, or write "gzip"',
        )


def _http(http: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _both(("http",), Http, http)
    pair = ("tls_cert_file", "tls_key_file")
    for given, absent in (pair, pair[::-1]):
        if given in http and absent not in http:
            yield Problem(("http", absent), f"is missing: {given} is useless without it; write both or neither")
    if "client_ca_file" in http and not set(pair) & http.keys():
        yield Problem(
            ("http", "tls_cert_file"),
            "is missing: client certificates are asked for over TLS alone; write tls_cert_file and tls_key_file,"
            " or leave client_ca_file out",
        )
    password = {"basic_password", "basic_password_file"} & http.keys()
    if "basic_user" in http and not password:
        yield Problem(
            ("http", "basic_password_file"),
            'is missing: basic_user needs it; write basic_password_file = "/etc/orchbridge/http-password"',
        )
    if password and "basic_user" not in http:
        yield Problem(("http", "basic_user"), 'is missing: its password is there; write basic_user = "prometheus"')


def _useless(sink: Mapping[str, Any], names: tuple[str, ...], protocol: str, better: str) -> Iterator[Problem]:
    """A credential that is silently unused would leave a connection open that was meant to be closed."""
    for name in names:
        if name in sink:
            yield Problem(("sink", name), f"has no effect with security_protocol = {protocol}; write {better} there")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
