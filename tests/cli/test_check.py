"""What `check` says of our own port, and how all of it is shown."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchbridge.cli.check import check_all, port
from orchbridge.cli.check.show import Part, show
from orchbridge.config import Http
from orchbridge.core.ports import Finding
from tests.authority import Authority
from tests.orchestrator.servers import answering, served

FREE = "127.0.0.1:0"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("check-ca"))


def found(**http: object) -> dict[str, Finding]:
    return {finding.subject: finding for finding in port.inspect(Http.model_validate({"listen": FREE} | http))}


def written(folder: Path, name: str, text: str, mode: int = 0o600) -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_port_for_this_machine_alone_needs_nothing() -> None:
    findings = found()
    assert {finding.level for finding in findings.values()} == {"ok"}
    assert "this machine's own address" in findings["credentials"].message


def test_an_open_port_is_worth_a_word() -> None:
    assert found(listen="0.0.0.0:0")["credentials"].level == "warning"


def test_a_port_in_use_may_be_our_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        finding = found(listen=f"127.0.0.1:{busy.getsockname()[1]}")["http.listen"]
    assert finding.level == "warning"
    assert "you run already" in finding.hint
    assert found(listen="192.0.2.1:9640")["http.listen"].level == "failed"


@pytest.mark.parametrize(("days", "level"), [(90, "ok"), (9, "warning"), (-1, "failed")])
def test_its_certificate_ends(authority: Authority, days: float, level: str) -> None:
    signed = authority.sign("bridge.test", days)
    finding = found(tls_cert_file=signed.cert, tls_key_file=signed.key)["http.tls_cert_file"]
    assert finding.level == level
    assert "bridge.test" in finding.message


def test_who_gets_in(authority: Authority, tmp_path: Path) -> None:
    signed, token = authority.sign(), written(tmp_path, "token", "0secret", 0o644)
    tls = {"tls_cert_file": signed.cert, "tls_key_file": signed.key, "client_ca_file": authority.file}
    findings = found(**tls, bearer_token_file=token, basic_user="u", basic_password="hunter2")
    assert findings["credentials"].message.startswith("a client certificate and a bearer token or a password;")
    assert "chmod 600" in findings["http.bearer_token_file"].hint
    assert "hunter2" not in repr(findings)
    assert "0secret" not in repr(findings)


def test_files_that_cannot_be_used(authority: Authority, tmp_path: Path) -> None:
    signed, other, empty = authority.sign(), authority.sign(), written(tmp_path, "empty", "\n")
    findings = found(tls_cert_file=signed.cert, tls_key_file=other.key, bearer_token_file=empty)
    assert findings["http.tls_cert_file"].level == findings["credentials"].level == "failed"


async def test_a_broken_port_is_a_matter_of_configuration(
    tmp_path: Path, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    signed, other = authority.sign(), authority.sign()
    written(tmp_path, "token", "x")
    path = written(
        tmp_path,
        "config.toml",
        '[[sources]]\nname = "prod"\nurl = "https://127.0.0.1:1"\ntoken_file = "token"\n[sink]\ntype = "stdout"\n'
        f'[http]\nlisten = "{FREE}"\ntls_cert_file = "{signed.cert}"\ntls_key_file = "{other.key}"\n',
    )
    assert await check_all(path, offline=True, as_json=True) == 2
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["subject"] for each in told if each["level"] == "failed"] == ["http.tls_cert_file"]
    assert set(told[0]) == {"part", "subject", "level", "message", "hint"}


PARTS = [
    Part("configuration", "a.toml", (Finding("configuration", "ok", "a.toml is valid"),)),
    Part(
        "source prod",
        "pe.test:8143",
        (
            *(Finding(f"prod: thing {number}", "ok", "may be read") for number in range(9)),
            *(
                Finding(f"prod: broken {number}", "failed", "[bold]is not there[/bold]", "mend it")
                for number in range(6)
            ),
            Finding("prod: clock", "warning", "runs ahead"),
        ),
        "prod: ",
    ),
]


def test_a_table_has_parts_and_says_what_is_alike_once(capsys: pytest.CaptureFixture[str]) -> None:
    show(PARTS, as_json=False)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "configuration  a.toml"
    assert "source prod  pe.test:8143" in lines
    text = "\n".join(lines)
    assert text.count("may be read") == text.count("[bold]is not there[/bold]") == text.count("→ mend it") == 1
    assert "and 6 more" in text
    assert all(f"broken {number}" in text for number in range(6)), "what must be fixed is never left out"
    assert "prod: " not in text
    assert lines[-1] == "6 to fix, 1 to know, 10 well"


def test_programs_get_every_finding_by_its_whole_name(capsys: pytest.CaptureFixture[str]) -> None:
    show(PARTS, as_json=True)
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(told) == 17
    assert told[1] == {
        "part": "source prod", "subject": "prod: thing 0", "level": "ok", "message": "may be read", "hint": "",
    }  # fmt: skip


async def test_the_activity_of_each_service_is_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    services = {"rbac": 200, "pe-console": 403, "code-manager": 200}

    def told(request: Request) -> Response:
        if request.url.path == "/orchestrator/v1":
            return answering({})
        status = services.get(request.query_params.get("service_id", ""), 404)
        kind = "puppetlabs.activity/permission-denied"
        return answering({"commits": []} if status == 200 else {"kind": kind, "msg": "no"}, status)

    written(tmp_path, "token", "x")
    async with served(told) as door:
        path = written(
            tmp_path,
            "config.toml",
            f'[[sources]]\nname = "prod"\nurl = "{door.url}"\nrbac_url = "{door.url}"\ntoken_file = "token"\n'
            f'streams = ["activity"]\nactivity_services = {json.dumps(list(services))}\n'
            f'[sink]\ntype = "stdout"\n[http]\nlisten = "{FREE}"\n',
        )
        assert await check_all(path, offline=False, as_json=True) == 3
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    levels = {line["subject"].removeprefix("prod: "): line["level"] for line in lines if "activity" in line["subject"]}
    assert levels == {"activity-rbac": "ok", "activity-pe-console": "failed", "activity-code-manager": "ok"}
