"""Logins, lockout, expiry, renewal and revocation, by world time."""

import pytest

from orchbridge.sim.rbac import MAXIMUM_LIFETIME_S, seconds_of
from tests.sim.playing import TOKEN, playing

LOGIN, RENEW, ABOUT, REVOKE = (
    "/rbac-api/v1/auth/token",
    "/rbac-api/v1/tokens",
    "/rbac-api/v2/auth/token/authenticate",
    "/rbac-api/v2/tokens",
)
OPS = {"login": "ops", "password": "simulated"}


async def entered(sim, **more):
    """Log in and return the token."""
    return (await sim.post(LOGIN, {**OPS, **more}, ok=200))["token"]


async def kind(sim, token, path="jobs"):
    """Return the kind of error that a token gets, None where it is let in."""
    answer = await sim.raw("GET", path, headers={"X-Authentication": token})
    return None if answer.status_code == 200 else (answer.status_code, answer.json()["kind"])


async def about(sim, token, ok=200):
    return await sim.post(ABOUT, {"token": token, "update_last_activity?": False}, ok=ok)


async def test_a_token_lives_as_long_as_was_asked_and_not_longer():
    async with playing("quiet", token=TOKEN) as sim:
        token = await entered(sim, lifetime="90s", label="mine", description="for tests", client="tests")
        told = await about(sim, token)
        assert (told["login"], told["label"], told["client"]) == ("ops", "mine", "tests")
        assert (told["creation"], told["expiration"]) == ("2025-03-09T10:15:40.000Z", "2025-03-09T10:17:10.000Z")
        sim.now = 89.9
        assert await kind(sim, token) is None
        sim.now = 90.0
        assert await kind(sim, token) == (401, "puppetlabs.rbac/token-expired")
        assert (await about(sim, token, ok=403))["kind"] == "puppetlabs.rbac/token-expired"
        await sim.get("jobs")  # the simulator's own goes on


@pytest.mark.parametrize(
    ("lifetime", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("8h", 28_800),
        ("2d", 172_800),
        ("1y", 31_536_000),
        ("0", MAXIMUM_LIFETIME_S),
        ("99y", MAXIMUM_LIFETIME_S),
        ("", None),
        ("8 h", None),
        ("-1s", None),
        ("soon", None),
    ],
)
async def test_lifetimes(lifetime, seconds):
    assert seconds_of(lifetime) == seconds
    async with playing("quiet", token=TOKEN) as sim:
        answer = await sim.raw("POST", LOGIN, json={**OPS, "lifetime": lifetime})
        assert answer.status_code == (400 if seconds is None else 200)


async def test_a_lifetime_not_given_is_an_hour():
    async with playing("quiet", token=TOKEN) as sim:
        assert (await about(sim, await entered(sim)))["expiration"] == "2025-03-09T11:15:40.000Z"


async def test_renewal_needs_a_token_that_still_lives():
    async with playing("quiet", token=TOKEN) as sim:
        old = await entered(sim, lifetime="90s")
        headers = {"X-Authentication": old}
        answer = await sim.raw("POST", RENEW, at=60.0, json={"lifetime": "1h", "label": "next"}, headers=headers)
        new = answer.json()["token"]
        assert new != old
        sim.now = 100.0
        assert await kind(sim, new) is None
        assert (await about(sim, new))["label"] == "next"
        late = await sim.raw("POST", RENEW, json={}, headers=headers)
        assert (late.status_code, late.json()["kind"]) == (401, "puppetlabs.rbac/token-expired")


async def test_ten_failures_in_a_row_revoke_the_account_and_its_tokens():
    async with playing("quiet", token=TOKEN) as sim:
        token = await entered(sim)
        wrong = {**OPS, "password": "guess"}
        for _ in range(9):
            assert (await sim.post(LOGIN, wrong, ok=401))["kind"] == "puppetlabs.rbac/user-unauthenticated"
        await entered(sim)  # success forgives
        for _ in range(10):
            assert await kind(sim, token) is None
            assert (await sim.post(LOGIN, wrong, ok=401))["kind"] == "puppetlabs.rbac/user-unauthenticated"
        assert await kind(sim, token) == (401, "puppetlabs.rbac/user-revoked")
        assert (await sim.post(LOGIN, OPS, ok=401))["kind"] == "puppetlabs.rbac/user-revoked"
        assert (await about(sim, token, ok=401))["kind"] == "puppetlabs.rbac/user-revoked"
        await sim.post("/sim/users", {"login": "ops", "revoked": False}, ok=200)
        assert await kind(sim, token) == (401, "puppetlabs.rbac/token-revoked")  # gone for good
        assert await kind(sim, await entered(sim)) is None


async def test_failures_of_one_account_do_not_hurt_another():
    async with playing("quiet", token=TOKEN) as sim:
        for _ in range(12):
            await sim.post(LOGIN, {"login": "nosuch", "password": "x"}, ok=401)
            await sim.post(LOGIN, {"login": "ada", "password": "x"}, ok=401)
        await entered(sim)


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (None, 400, "malformed-request"),
        ([], 400, "malformed-request"),
        ({"login": "ops"}, 400, "malformed-request"),
        ({**OPS, "password": 7}, 400, "schema-violation"),
        ({**OPS, "label": "a,b"}, 400, "schema-violation"),
        ({**OPS, "label": "x" * 201}, 400, "schema-violation"),
        ({**OPS, "lifetime": "long"}, 400, "schema-violation"),
        ({**OPS, "login": "twins"}, 422, "non-unique-lookup-attr"),
        ({**OPS, "password": "guess"}, 401, "user-unauthenticated"),
    ],
)
async def test_logins_that_are_refused(body, status, kind):
    async with playing("quiet", token=TOKEN) as sim:
        await sim.post("/sim/users", {"login": "twins", "ambiguous": True}, ok=200)
        answer = await sim.raw("POST", LOGIN, **({} if body is None else {"json": body}))
        assert (answer.status_code, answer.json()["kind"]) == (status, f"puppetlabs.rbac/{kind}")
        assert "simulated" not in answer.text
        assert "guess" not in answer.text


async def test_idle_tokens_time_out_unless_they_are_used_or_kept_quiet():
    async with playing("quiet", token=TOKEN) as sim:
        await sim.post("/sim/users", {"login": "ops", "idle_minutes": 10}, ok=200)
        busy, quiet = await entered(sim), await entered(sim)
        for sim.now in (300.0, 600.0):
            assert await kind(sim, busy) is None
            assert await kind(sim, f"{quiet}|no_keepalive") is None
        sim.now = 601.0
        assert await kind(sim, busy) is None
        assert await kind(sim, f"{quiet}|no_keepalive") == (401, "puppetlabs.rbac/token-timed-out")
        assert (await about(sim, quiet, ok=403))["kind"] == "puppetlabs.rbac/token-timed-out"
        assert (await about(sim, busy))["timeout"] == 10


async def test_asking_about_a_token_keeps_it_alive_only_where_it_shall():
    async with playing("quiet", token=TOKEN) as sim:
        await sim.post("/sim/users", {"login": "ops", "idle_minutes": 10}, ok=200)
        kept, left = await entered(sim), await entered(sim)
        for sim.now in (400.0, 800.0):
            await sim.post(ABOUT, {"token": kept}, ok=200)
            await about(sim, left, ok=200 if sim.now == 400.0 else 403)


async def test_nobody_can_log_in_while_rbac_is_down():
    async with playing("quiet", token=TOKEN, auth_fault="server-error-503") as sim:
        for _ in range(12):
            assert (await sim.post(LOGIN, {**OPS, "password": "x"}, ok=500))["kind"] == "puppetlabs.rbac/server-error"
        await sim.turn(auth_fault="none")
        await entered(sim)  # and nobody was locked out by that


async def test_tokens_are_revoked_by_what_they_are_and_whose():
    async with playing("quiet", token=TOKEN) as sim:
        one, two, three = [await entered(sim, label=label) for label in ("a", "b", "c")]
        other = (await sim.post(LOGIN, {**OPS, "login": "ada"}, ok=200))["token"]
        mine = {"X-Authentication": one}
        answer = await sim.raw("DELETE", f"{REVOKE}?revoke_tokens_by_labels=b,c", headers=mine)
        assert answer.status_code == 204
        assert await kind(sim, two) == await kind(sim, three) == (401, "puppetlabs.rbac/token-revoked")
        assert (await about(sim, two, ok=403))["kind"] == "puppetlabs.rbac/token-revoked"
        answer = await sim.raw("DELETE", REVOKE, json={"revoke_tokens_by_usernames": ["ada"]}, headers=mine)
        assert (answer.status_code, answer.json()["kind"]) == (403, "puppetlabs.rbac/permission-denied")
        assert await kind(sim, other) is None
        answer = await sim.raw("DELETE", f"{REVOKE}/{other}", headers=mine)
        assert answer.status_code == 403
        assert (await sim.raw("DELETE", f"{REVOKE}/{other}")).status_code == 204
        assert await kind(sim, other) == (401, "puppetlabs.rbac/token-revoked")
        answer = await sim.raw("DELETE", REVOKE, json={"revoke_tokens": [one, "nosuch"]}, headers=mine)
        assert answer.status_code == 400
        assert len(answer.json()["details"]["failures"]) == 1
        assert "nosuch" not in answer.text  # it could be a real one
        assert await kind(sim, one) == (401, "puppetlabs.rbac/token-revoked")  # what could be done is done
        assert (await sim.raw("DELETE", REVOKE)).status_code == 400


@pytest.mark.parametrize("token", [TOKEN, None])
async def test_unknown_tokens_are_refused_only_where_there_is_one_to_know(token):
    async with playing("quiet", token=token) as sim:
        expired = await entered(sim, lifetime="1s")
        sim.now = 5.0
        assert await kind(sim, "whatever") == (None if token is None else (401, "puppetlabs.rbac/invalid-token"))
        assert await kind(sim, expired) == (401, "puppetlabs.rbac/token-expired")


async def test_a_login_is_remembered_as_the_owners_last_one():
    async with playing("empty", token=TOKEN) as sim:
        sim.now = 30.0
        token = await entered(sim)
        body = {"task": "facts", "params": {}, "scope": {"nodes": ["web01.example.com"]}}
        await sim.raw("POST", "command/task", json=body, headers={"X-Authentication": token})
        for at in (30.0, 60.0):
            (job,) = (await sim.get("jobs", at=at))["items"]
            assert job["owner"]["last_login"] == "2025-03-09T10:16:10.000Z"
        await entered(sim)
        (job,) = (await sim.get("jobs"))["items"]
        assert job["owner"] == (await sim.get("jobs/1"))["owner"]
        assert job["owner"]["last_login"] == "2025-03-09T10:16:40.000Z"  # of a job that ended before
        assert (await about(sim, token))["last_login"] == "2025-03-09T10:16:40.000Z"


async def test_no_secret_is_in_a_repr():
    async with playing("quiet", token=TOKEN) as sim:
        token = await entered(sim)
        await sim.post("/sim/users", {"login": "new", "password": "hush-hush"}, ok=200)
        shown = repr((sim.world.people.tokens[token], sim.world.people.users))
        assert token not in shown
        assert "hush-hush" not in shown


def test_the_same_seed_gives_the_same_tokens_and_another_other_ones():
    from orchbridge.sim.rbac import Rbac

    def tokens(seed):
        rbac = Rbac(seed)
        return [rbac.issue(rbac.users["ops"], 60.0, 0.0).text for _ in range(3)]

    assert tokens(1) == tokens(1)
    assert len({*tokens(1), *tokens(2)}) == 6
