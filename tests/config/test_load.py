"""Loading: values, the environment over the file, secrets, files and warnings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchbridge.config import Jsonl, Kafka, Settings, Stdout, load, missing_files
from orchbridge.core.errors import ConfigError

MINIMAL = """
[[sources]]
name = "prod"
url = "https://pe.example.com:8143"
token_file = "token"
{source}
[sink]
type = "stdout"
{rest}
"""


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Write a file with these lines added, with its token beside it, and load it."""
    (tmp_path / "token").write_text("t0k3n\n")

    def write(source: str = "", rest: str = "", **environ: str) -> Settings:
        path = tmp_path / "orchbridge.toml"
        path.write_text(MINIMAL.format(source=source, rest=rest))
        return load(path, {f"ORCHBRIDGE_{name}": value for name, value in environ.items()})

    return write


def refusal(call: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def test_defaults(written: Any) -> None:
    settings = written()
    source = settings.sources[0]
    assert (source.start, source.streams, source.poll_interval_s) == ("now", ("jobs", "plans", "inventory"), 2.0)
    assert source.forget_after == timedelta(days=30)
    assert settings.sink == Stdout(topic_prefix="pe.{source}")
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 9640)
    assert settings.warnings == ()


def test_settings_cannot_change(written: Any) -> None:
    with pytest.raises(ValidationError):
        written().sources[0].name = "other"


@pytest.mark.parametrize(
    ("written_url", "url"),
    [
        ("https://pe.example.com:8143/", "https://pe.example.com:8143"),
        ("https://pe.example.com", "https://pe.example.com:8143"),
        ("https://PE.example.com:443", "https://pe.example.com:443"),
        ("https://[2001:db8::1]:8143", "https://[2001:db8::1]:8143"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("http://localhost:9000", "http://localhost:9000"),
    ],
)
def test_addresses_taken(written: Any, written_url: str, url: str) -> None:
    assert written(SOURCES__0__URL=written_url).sources[0].url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1:8143",
        "http://localhost.example.com:8143",
        "http://127.0.0.1.example.com",
        "https://",
        "https://pe:99999",
        "https://pe:8143?token=hunter2",
        "https://pe:8143/#hunter2",
        "https://hunter2@pe",
        "ftp://pe",
        "https://[::1",
        "",
    ],
)
def test_addresses_refused_without_repeating_them(written: Any, url: str) -> None:
    told = refusal(written, SOURCES__0__URL=url)
    assert "sources[0].url (from ORCHBRIDGE_SOURCES__0__URL): must" in told
    assert "hunter2" not in told


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:9640", "0.0.0.0:9640", "localhost:9640", "[::]:65535"])
def test_places_to_listen(written: Any, listen: str) -> None:
    http = written(HTTP__LISTEN=listen).http
    assert f"{http.host}:{http.port}" == listen.replace("[", "").replace("]", "")


@pytest.mark.parametrize(
    "listen", ["9640", "::1:9640", "[127.0.0.1]:80", "a b:80", "host:", "host:65536", "host:²", "[]:1"]
)
def test_no_places_to_listen(written: Any, listen: str) -> None:
    assert "http.listen" in refusal(written, HTTP__LISTEN=listen)


@pytest.mark.parametrize(
    ("start", "taken"),
    [
        ('"earliest"', "earliest"),
        ('"job:350"', "job:350"),
        ('"2026-05-01T02:00:00+02:00"', "2026-05-01T00:00:00Z"),
        ("2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z"),
    ],
)
def test_starts(written: Any, start: str, taken: str) -> None:
    assert written(source=f"start = {start}").sources[0].start == taken


@pytest.mark.parametrize(
    ("text", "length"),
    [("90s", timedelta(seconds=90)), ("15m", timedelta(minutes=15)), ("2h", timedelta(hours=2)), ("1d", timedelta(1))],
)
def test_durations(written: Any, text: str, length: timedelta) -> None:
    assert written(source=f'forget_after = "{text}"').sources[0].forget_after == length


def test_the_environment_is_stronger(written: Any) -> None:
    settings = written(
        source="poll_interval_s = 5.0",
        SOURCES__0__POLL_INTERVAL_S="7.5",
        sources__0__adopt_cursor="true",
        SOURCES__0__STREAMS="jobs, plans",
        Log__Level="debug",
        REDACTION__KEY_NAMES__0="pin",
        REDACTION__KEY_NAMES__1="puk",
    )
    source = settings.sources[0]
    assert (source.poll_interval_s, source.adopt_cursor, source.streams) == (7.5, True, ("jobs", "plans"))
    assert settings.log.level == "debug"
    assert settings.redaction.key_names == ("pin", "puk")


def test_the_environment_alone_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.touch()
    environ = {
        "ORCHBRIDGE_SOURCES__0__NAME": "prod",
        "ORCHBRIDGE_SOURCES__0__URL": "https://a",
        "ORCHBRIDGE_SOURCES__0__TOKEN": "hunter2",
        "ORCHBRIDGE_SOURCES__1__NAME": "lab",
        "ORCHBRIDGE_SOURCES__1__URL": "https://b",
        "ORCHBRIDGE_SOURCES__1__TOKEN": "hunter3",
        "ORCHBRIDGE_SINK__TYPE": "jsonl",
        "ORCHBRIDGE_SINK__DIRECTORY": "data",
    }
    settings = load(path, environ)
    assert [source.name for source in settings.sources] == ["prod", "lab"]
    assert isinstance(settings.sink, Jsonl)
    assert settings.sink.directory == tmp_path / "data"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("SINK__TYP", "ORCHBRIDGE_SINK__TYP is no setting; did you mean ORCHBRIDGE_SINK__TYPE?"),
        ("SOURCES__0__TOKNE", "did you mean ORCHBRIDGE_SOURCES__0__TOKEN?"),
        ("SOURCES__TOKEN_FILE", "did you mean ORCHBRIDGE_SOURCES__0__TOKEN_FILE?"),
        ("SOURCES__2__NAME", "leaves out item 1"),
        ("SOURCES__-1__NAME", "is no setting"),
        ("SOURCES", "such as ORCHBRIDGE_SOURCES__0__NAME"),
        ("HTTP", "such as ORCHBRIDGE_HTTP__LISTEN"),
        ("HTTP__LISTEN__X", "did you mean ORCHBRIDGE_HTTP__LISTEN?"),
        ("NONSENSE", "is no setting; remove it"),
        ("", "is no setting"),
    ],
)
def test_unknown_variables_are_errors(written: Any, name: str, told: str) -> None:
    message = refusal(written, **{name: "hunter2"})
    assert told in message
    assert "hunter2" not in message


def test_two_spellings_of_one_variable_are_an_error(written: Any) -> None:
    assert "says the same as" in refusal(written, LOG__LEVEL="info", log__level="debug")


def test_variables_of_others_are_left_alone(written: Any, tmp_path: Path) -> None:
    written(TEST_KAFKA="127.0.0.1:9092")
    assert load(tmp_path / "orchbridge.toml", {"OTHER_SINK__TYPE": "x", "orchbridge_x": "y"})


def test_keys_of_another_sink_are_ignored_with_a_warning(written: Any) -> None:
    settings = written(rest='bootstrap_servers = "kafka:9092"', SINK__DIRECTORY="data")
    assert isinstance(settings.sink, Stdout)
    assert settings.warnings == (
        'sink.bootstrap_servers is ignored: it belongs to type "kafka", and type is "stdout"',
        'sink.directory is ignored: it belongs to type "jsonl", and type is "stdout"',
    )


def test_paths_are_beside_the_file(written: Any, tmp_path: Path) -> None:
    assert written().sources[0].token_file == tmp_path / "token"


def test_a_missing_file_can_be_told_instead_of_refused(written: Any, tmp_path: Path) -> None:
    written()
    (tmp_path / "token").unlink()
    assert f"sources[0].token_file: no such file: {tmp_path / 'token'}" in refusal(written)
    settings = load(tmp_path / "orchbridge.toml", {}, files_exist=False)
    assert missing_files(settings) == (("sources[0].token_file", f"no such file: {tmp_path / 'token'}"),)


def test_a_relative_configuration_path(written: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written()
    monkeypatch.chdir(tmp_path)
    assert load(Path("orchbridge.toml"), {}).sources[0].token_file == tmp_path / "token"


def test_no_configuration_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "absent.toml", {})
    assert caught.value.line() == (
        f"{tmp_path / 'absent.toml'}: cannot be read (No such file or directory)"
        " — name the configuration file with -c FILE"
    )


def test_a_secret_comes_from_its_place_or_its_file(written: Any, tmp_path: Path) -> None:
    assert written().sources[0].secret("token") == "t0k3n"
    assert written(SOURCES__0__PROXY="http://u:p@proxy:3128").sources[0].secret("proxy") == "http://u:p@proxy:3128"
    assert written().sources[0].secret("proxy") is None


def test_secrets_never_show(written: Any, tmp_path: Path) -> None:
    (tmp_path / "kafka.toml").write_text(
        """
        [[sources]]
        name = "prod"
        url = "https://pe.example.com"
        token = "hunter2"
        proxy = "http://user:hunter2@proxy:3128"
        [sink]
        type = "kafka"
        bootstrap_servers = "kafka:9092"
        security_protocol = "SASL_SSL"
        sasl_plain_username = "orchbridge"
        sasl_plain_password = "hunter2"
        ssl_password = "hunter2"
        """
    )
    settings = load(tmp_path / "kafka.toml", {})
    assert isinstance(settings.sink, Kafka)
    assert settings.sink.secret("sasl_plain_password") == "hunter2"
    for shown in (repr(settings), str(settings), repr(settings.model_dump()), settings.model_dump_json()):
        assert "hunter2" not in shown


@pytest.mark.parametrize("protocol", ["SSL", "SASL_PLAINTEXT", "SASL_SSL", "PLAINTEXT"])
def test_credentials_and_protocol_fit(tmp_path: Path, protocol: str) -> None:
    (tmp_path / "file").touch()
    credentials = {"SASL_PLAIN_USERNAME": "u", "SASL_PLAIN_PASSWORD": "p"} if "SASL" in protocol else {}
    files = {"SSL_CAFILE": "file", "SSL_CERTFILE": "file", "SSL_KEYFILE": "file"} if "SSL" in protocol else {}
    path = tmp_path / "orchbridge.toml"
    path.write_text('[sink]\ntype = "kafka"\nbootstrap_servers = "a:9092, [::1]:9093,c"\n')
    sink = {f"ORCHBRIDGE_SINK__{name}": value for name, value in (credentials | files).items()}
    source = {"NAME": "prod", "URL": "https://pe", "TOKEN": "t"}
    environ = {f"ORCHBRIDGE_SOURCES__0__{name}": value for name, value in source.items()}
    environ["ORCHBRIDGE_SINK__SECURITY_PROTOCOL"] = protocol
    assert isinstance(load(path, environ | sink).sink, Kafka)


@pytest.mark.parametrize(
    ("listen", "more", "warned"),
    [
        ("0.0.0.0:9640", {"BEARER_TOKEN": "hunter2"}, ["http.bearer_token"]),
        ("[::]:9640", {"BASIC_USER": "u", "BASIC_PASSWORD": "hunter2"}, ["http.basic_password"]),
        (
            "host.example.com:9640",
            {"BASIC_USER": "u", "BASIC_PASSWORD": "x", "BEARER_TOKEN": "y"},
            ["bearer_token and"],
        ),
        ("127.0.0.1:9640", {"BEARER_TOKEN": "hunter2"}, []),
        ("localhost:9640", {"BEARER_TOKEN": "hunter2"}, []),
        ("0.0.0.0:9640", {}, []),
        ("0.0.0.0:9640", {"BEARER_TOKEN": "hunter2", "TLS_CERT_FILE": "token", "TLS_KEY_FILE": "token"}, []),
    ],
)
def test_credentials_in_clear_text_are_worth_a_warning(
    written: Any, listen: str, more: dict[str, str], warned: list[str]
) -> None:
    settings = written(HTTP__LISTEN=listen, **{f"HTTP__{name}": value for name, value in more.items()})
    assert len(settings.warnings) == len(warned)
    for line, words in zip(settings.warnings, warned, strict=True):
        assert words in line
        assert "clear text" in line
        assert "set http.tls_cert_file" in line
    assert "hunter2" not in str(settings.warnings) + repr(settings)


def test_activity_is_one_stream_for_each_service(tmp_path: Path) -> None:
    text = (
        '[[sources]]\nname = "prod"\nurl = "https://pe.test"\ntoken = "t"\n'
        'streams = ["jobs", "activity", "schedules"]\n'
        'activity_services = ["rbac", "pe-console"]\nmissed_after = "90s"\n[sink]\ntype = "stdout"\n'
    )
    (tmp_path / "orchbridge.toml").write_text(text)
    source = load(tmp_path / "orchbridge.toml", {}).sources[0]
    assert source.kinds == ("jobs", "activity-rbac", "activity-pe-console", "schedules")
    assert source.missed_after.total_seconds() == 90
