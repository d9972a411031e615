"""Who gets in: credentials right, wrong, odd, renewed; and what is shown to the others."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from orchbridge.core.errors import ConfigError, Denied
from orchbridge.ops.app import application
from orchbridge.ops.keys import Keys, Secret
from tests.ops.stage import JOBS_STREAM, Stage

TOKEN, PASSWORD = "0beef-token", "päss:word"
OPEN, CLOSED = ("/healthz", "/readyz"), ("/", "/metrics", "/status.json", "/nothing", "/healthz/", "//metrics")


def bearer(path: Path | None = None) -> Secret:
    return Secret("bearer_token", None if path else TOKEN, path, token=True)


def password(path: Path | None = None) -> Secret:
    return Secret("basic_password", None if path else PASSWORD, path, token=False)


def basic(user: str, word: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{word}".encode()).decode()


EITHER = Keys(bearer(), "prometheus", password())


def visitor(keys: Keys, stage: Stage | None = None, **more: Any) -> httpx.AsyncClient:
    stage = stage or Stage()
    app = application(stage.watch.status, stage.metrics, keys=keys, **more)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bridge")


@pytest.mark.parametrize("keys", [Keys(bearer()), Keys(None, "prometheus", password()), EITHER])
async def test_without_credentials_only_a_word_is_told(keys: Keys) -> None:
    async with visitor(keys) as client:
        for path in CLOSED:
            answer = await client.get(path)
            assert (answer.status_code, answer.text) == (401, "credentials are needed\n"), path
            assert answer.headers.get_list("www-authenticate") == list(keys.challenges)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
        assert [(await client.get(path)).text for path in OPEN] == ["ok\n", "ready\n"]


def test_the_challenges_name_what_opens() -> None:
    assert [challenge.split()[0] for challenge in EITHER.challenges] == ["Bearer", "Basic"]
    assert [challenge.split()[0] for challenge in Keys(bearer()).challenges] == ["Bearer"]
    assert [challenge.split()[0] for challenge in Keys(None, "u", password()).challenges] == ["Basic"]


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer   {TOKEN} ", basic("prometheus", PASSWORD)])
async def test_either_credential_opens_everything(given: str) -> None:
    async with visitor(EITHER) as client:
        for path in ("/", "/metrics", "/status.json", *OPEN):
            assert (await client.get(path, headers={"authorization": given})).status_code == 200, path


ODD: list[str | bytes] = [
    "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, f"Token {TOKEN}", f"Basic {TOKEN}",
    f"Bearer{TOKEN}", f"Bearer {TOKEN} {TOKEN}", f"Bearer {PASSWORD}", basic("prometheus", ""), basic("", PASSWORD),
    basic("Prometheus", PASSWORD), basic("prometheus", PASSWORD + " "), basic("prometheus", TOKEN), "Basic ====",
    "Basic " + base64.b64encode(b"\xff\xfe").decode(), "Basic " + base64.b64encode(b"prometheus").decode(),
    b"Bearer \xff\x00\xfe", "Bearer " + "x" * 10_000, f'Digest username="prometheus", response="{PASSWORD}"',
]  # fmt: skip


@pytest.mark.parametrize("given", ODD, ids=range(len(ODD)))
async def test_anything_else_does_not(given: str | bytes) -> None:
    header = given if isinstance(given, bytes) else given.encode()
    async with visitor(EITHER) as client:
        assert (await client.get("/metrics", headers=[(b"authorization", header)])).status_code == 401


async def test_two_headers_open_nothing_even_if_one_fits() -> None:
    twice = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer guess")]
    async with visitor(EITHER) as client:
        assert (await client.get("/metrics", headers=twice)).status_code == 401


@pytest.mark.parametrize("keys", [Keys(bearer()), Keys(None, "prometheus", password())])
async def test_one_kind_is_not_opened_by_the_other(keys: Keys) -> None:
    other = basic("prometheus", PASSWORD) if keys.bearer else f"Bearer {TOKEN}"
    async with visitor(keys) as client:
        assert (await client.get("/metrics", headers={"authorization": other})).status_code == 401


async def test_reasons_are_for_those_with_credentials() -> None:
    stage = Stage()
    stage.watch.parked(JOBS_STREAM, Denied("the token of prod has expired", hint="renew it"))
    known = {"authorization": f"Bearer {TOKEN}"}
    async with visitor(EITHER, stage, alarms=lambda: ("a commit hangs",)) as client:
        told = [await client.get(path) for path in OPEN]
        assert [(answer.status_code, answer.text) for answer in told] == [(503, "not ok\n"), (503, "not ready\n")]
        asked = await client.get("/readyz", headers={"accept": "application/json"})
        assert asked.text == "not ready\n"
        whole = [await client.get(path, headers=known) for path in OPEN]
    assert "a commit hangs" in whole[0].text
    assert "the token of prod has expired" in whole[1].text


async def test_where_nothing_is_set_everything_is_open() -> None:
    stage = Stage()
    async with visitor(Keys(), stage, alarms=lambda: ("a commit hangs",)) as client:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/healthz")).text == "a commit hangs\n"


async def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    token, word = tmp_path / "token", tmp_path / "password"
    token.write_text("first\n")
    word.write_text(" spaces belong to it \n")
    async with visitor(Keys(bearer(token), "prometheus", password(word))) as client:

        async def code(given: str) -> int:
            return (await client.get("/metrics", headers={"authorization": given})).status_code

        assert [await code("Bearer first"), await code(basic("prometheus", " spaces belong to it "))] == [200, 200]
        token.write_text("second\n")
        assert [await code("Bearer first"), await code("Bearer second")] == [401, 200]
        word.write_text("another one")
        assert await code(basic("prometheus", "another one")) == 200
        with structlog.testing.capture_logs() as lines:
            for content in (b"", b"two words", b"\xff\xfe"):
                token.write_bytes(content)
                assert [await code("Bearer second"), await code("Bearer "), await code("Bearer two words")] == [
                    200, 401, 401,
                ]  # fmt: skip
            token.unlink()
            assert await code("Bearer second") == 200
        token.write_text("third")
        assert [await code("Bearer second"), await code("Bearer third")] == [401, 200]
    kept = [line["explanation"] for line in lines if line["event"] == "http.secret_kept"]
    assert len(kept) == 2, "what repeats is said once a minute"
    assert all(f"http.bearer_token_file: {token}" in line for line in kept)
    assert "two words" not in str(lines)


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"line\nline", b"\xff\xfe", None])
def test_a_token_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refusal:
        bearer(path)
    assert refusal.value.line().startswith(f"http.bearer_token_file: {path}")
    assert "\n" not in refusal.value.line()


async def test_what_was_tried_and_what_would_open_are_never_shown() -> None:
    stage = Stage()
    guess = "hunter2-guess"
    with structlog.testing.capture_logs() as lines:
        async with visitor(EITHER, stage) as client:
            for given in (f"Bearer {guess}", basic("prometheus", guess), basic(guess, "x"), guess):
                refused = await client.get(f"/metrics?token={guess}", headers={"authorization": given})
                assert guess not in refused.text + str(refused.headers)
            known = {"authorization": f"Bearer {TOKEN}"}
            shown = [(await client.get(path, headers=known)).text for path in ("/", "/metrics", "/status.json")]
    told = str(lines) + "".join(shown) + repr(EITHER) + repr(EITHER.bearer) + str(EITHER.password)
    assert [line["event"] for line in lines] == ["http.refused"], "said once a minute"
    assert lines[0]["reason"] == "wrong credentials"
    for secret in (guess, TOKEN, PASSWORD, base64.b64encode(PASSWORD.encode()).decode()):
        assert secret not in told


async def test_the_time_of_an_answer_is_that_of_one_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides are digests of one length, whatever was given: where they differ cannot be timed."""
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr("orchbridge.ops.keys.hmac.compare_digest", compare)
    async with visitor(EITHER) as client:
        for given in ("Bearer x", f"Bearer {TOKEN}", "Basic ====", basic("nobody", "x"), basic("prometheus", PASSWORD)):
            await client.get("/metrics", headers={"authorization": given})
    assert compared == [(32, 32)] * 5
