"""The activity log: what the world's people do is written there, and can be read from any place on."""

import json
from urllib.parse import quote

import pytest

from tests.sim.playing import TOKEN, playing

V1, V2 = "/activity-api/v1/events", "/activity-api/v2/events"
WEB, APP = "web01.example.com", "app01.example.com"


async def busy(sim):
    """Let ops run something, ada log in, and somebody fail."""
    await sim.become("ops")
    await sim.post("command/task", {"task": "facts", "params": {}, "scope": {"nodes": [WEB, APP]}})
    await sim.post("/rbac-api/v1/auth/token", {"login": "ada", "password": "simulated"}, at=5.0, ok=200)
    await sim.post("command/deploy", {"environment": "production", "scope": {"nodes": [WEB]}}, at=30.0)
    note = {"service": "classifier", "subject": "ada", "type": "edit", "message": "Edited Web"}
    await sim.post("/sim/activity", note, at=60.0, ok=200)


def query(*terms):
    return f"{V2}?query={quote(json.dumps(terms))}"


async def test_what_a_job_leaves_behind():
    async with playing("empty", token=TOKEN) as sim:
        await busy(sim)
        (commit,) = (await sim.get(f"{V2}?service_id=pe-console&order=asc&limit=1"))["commits"]
        job = await sim.get("jobs/1")
        assert commit["timestamp"] == job["finished_timestamp"]
        assert commit["subject"] == {"id": job["owner"]["id"], "name": "ops"}
        assert [(item["type"], item["id"]) for item in commit["objects"]] == [
            ("job", "1"),
            ("task", "facts"),
            ("node", WEB),
            ("node", APP),
        ]
        event = commit["events"][0]
        assert len(commit["events"]) == 2
        assert (event["type"], event["what"], event["name"]) == ("run_task", "node", "1")
        assert (event["state"], event["duration"]) == ("finished", job["duration"])
        assert event["finish_timestamp"] == job["finished_timestamp"]
        deploy = (await sim.get(f"{V2}?service_id=pe-console&order=asc&offset=1"))["commits"][0]
        assert deploy["events"][0]["type"] == "puppet_agent"


async def test_failed_jobs_lack_their_end():
    async with playing("empty") as sim:
        await sim.post("command/deploy", {"environment": "production", "scope": {"nodes": ["off.example.com"]}})
        (commit,) = (await sim.get(V2, at=20.0))["commits"]
        assert commit["events"][0]["state"] == "failed"
        assert not {"finish_timestamp", "duration"} & commit["events"][0].keys()


async def test_a_plans_jobs_name_the_plan():
    async with playing("empty") as sim:
        await sim.post("command/plan_run", {"plan_name": "rollout::web", "params": {}})
        (commit,) = (await sim.get(V2, at=30.0))["commits"]
        assert {"type": "plan", "id": "rollout::web", "name": "rollout::web"} in commit["objects"]
        assert commit["events"][0]["type"] == "plan_task"


async def test_logins_and_lockout_are_written_under_rbac():
    async with playing("empty", token=TOKEN) as sim:
        await sim.post("/rbac-api/v1/auth/token", {"login": "ada", "password": "simulated"}, ok=200)
        for _ in range(10):
            await sim.post("/rbac-api/v1/auth/token", {"login": "ada", "password": "x"}, ok=401)
        await sim.post("/sim/users", {"login": "new", "roles": [3]}, ok=200)
        commits = (await sim.get(f"{V2}?service_id=rbac&order=asc"))["commits"]
        assert [(c["subject"]["name"], c["events"][0]["type"]) for c in commits] == [
            ("ada", "login"),
            ("ada", "revoke"),
            ("admin", "create"),
        ]
        assert commits[0]["ip_address"].startswith("127.0.0.1")


async def test_reading_it_leaves_no_trace():
    async with playing("empty", token=TOKEN) as sim:
        for _ in range(3):
            for path in (V2, f"{V1}?service_id=rbac", "jobs", "tasks"):
                await sim.get(path)
        assert (await sim.get(V2))["commits"] == []


async def test_paging_by_position_gives_everything_once_while_more_is_written():
    async with playing("demo", at=20.0) as sim:
        seen = []
        while True:
            page = (await sim.get(f"{V2}?order=asc&offset={len(seen)}&limit=3"))["commits"]
            seen += page
            sim.now = min(sim.now + 5.0, 120.0)
            if len(page) < 3 and sim.now == 120.0:
                break
        whole = await sim.get(f"{V2}?order=asc")
        assert seen == whole["commits"]
        assert whole["pagination"] == {"total": len(seen), "limit": 1000, "offset": 0}
        newest_first = (await sim.get(V2))["commits"]
        assert newest_first == seen[::-1]
        told = [fact for fact in sim.facts if fact["fact"] == "activity"]
        assert [fact["id"] for fact in told] == list(range(1, len(seen) + 1))
        shape = [(c["timestamp"], c["subject"]["name"], c["events"][0]["type"] if c["events"] else None) for c in seen]
        assert [(f["time"], f["subject"], f["type"]) for f in told] == shape
        assert {fact["service"] for fact in told} >= {"pe-console", "classifier"}


async def test_a_purge_moves_every_place():
    async with playing("demo", at=60.0) as sim:
        before = (await sim.get(f"{V2}?order=asc"))["commits"]
        assert await sim.post("/sim/purge", {"oldest": 4}, ok=200) == {"purged": 4}
        after = await sim.get(f"{V2}?order=asc")
        assert after["commits"] == before[4:]
        assert after["pagination"]["total"] == len(before) - 4
        assert [fact["commits"] for fact in sim.facts if fact["fact"] == "activity_purged"] == [4]


async def test_a_rewound_log_goes_on_from_before():
    async with playing("demo", at=60.0) as sim:
        before = (await sim.get(f"{V2}?order=asc"))["commits"]
        assert await sim.post("/sim/rewind", {"newest": 2}, ok=200) == {"rewound": 2}
        assert (await sim.get(f"{V2}?order=asc"))["commits"] == before[:-2]
        assert await sim.post("/sim/rewind", {"newest": 1_000}, ok=200) == {"rewound": len(before) - 2}
        assert [fact["commits"] for fact in sim.facts if fact["fact"] == "activity_rewound"] == [2, len(before) - 2]


async def test_an_endless_world_does_not_keep_everything():
    async with playing("demo:keep=60", at=200.0) as sim:
        assert not [fact for fact in sim.facts if fact["fact"] == "activity_purged"]
        oldest = (await sim.get(f"{V2}?order=asc&limit=1", at=400.0))["commits"][0]["timestamp"]
        assert "2025-03-09T10:18:1" <= oldest <= "2025-03-09T10:18:40Z"  # 240 s ago, as far as a tenth of a minute goes
        purged = sum(fact["commits"] for fact in sim.facts if fact["fact"] == "activity_purged")
        written = sum(fact["fact"] == "activity" for fact in sim.facts)
        assert (await sim.get(V2))["pagination"]["total"] == written - purged


async def test_terms_are_ored_and_time_is_anded():
    async with playing("empty", token=TOKEN) as sim:
        await busy(sim)
        everything = (await sim.get(f"{V2}?order=asc"))["commits"]
        assert len(everything) == 4
        job1, login, job2, edit = everything
        ada = login["subject"]["id"]

        async def found(*terms):
            return (await sim.get(query(*terms) + "&order=asc"))["commits"]

        assert await found() == everything
        assert await found({"object_type": "node"}) == [job1, job2]
        assert await found({"object_type": "node", "object_id": APP}) == [job1]
        assert await found({"subject_type": "users", "subject_id": ada}) == [login, edit]
        assert await found({"subject_id": ada}, {"object_id": APP}) == [job1, login, edit]
        assert await found({"ip_address": "127.0.0"}) == everything
        assert await found({"ip_address": "10.9."}) == []
        late = {"start": "2025-03-09T10:16:00Z", "end": "2025-03-09T10:20:00+00:00"}
        assert await found(late) == [job2, edit]
        assert await found(late, {"subject_id": ada}) == [edit]
        early = {"start": "2025-03-09T10:15:00Z", "end": "2025-03-09T10:15:45Z"}
        assert await found(early) == [job1, login]
        assert (await sim.get(query(late) + "&service_id=classifier"))["commits"] == [edit]


async def test_the_first_version():
    async with playing("empty", token=TOKEN) as sim:
        await busy(sim)
        answer = await sim.get(f"{V1}?service_id=pe-console")
        assert answer["total-rows"] == 2
        newest = answer["commits"][0]
        assert newest["object"] == {"id": "2", "name": "2"}
        assert list(newest["events"][0]) == ["message"]
        assert set(newest) == {"object", "subject", "timestamp", "events"}
        asked = f"{V1}?service_id=pe-console&order=asc&limit=1&offset=1"
        page = await sim.get(asked)
        assert (page["commits"], page["total-rows"]) == ([newest], 2)
        on_app = await sim.get(f"{V1}?service_id=pe-console&object_type=node&object_id={APP},x")
        assert [commit["object"]["name"] for commit in on_app["commits"]] == [WEB]
        ada = (await sim.get(f"{V1}?service_id=rbac"))["commits"][0]["subject"]["id"]
        assert (await sim.get(f"{V1}?service_id=classifier&subject_type=users&subject_id={ada}"))["total-rows"] == 1
        assert (await sim.get(f"{V1}?service_id=pe-console&subject_id={ada}"))["total-rows"] == 0
        after = f"{V1}?service_id=pe-console&after_service_commit_time=2025-03-09T10:16:00Z"
        assert (await sim.get(after))["total-rows"] == 1


async def test_a_service_without_any_data():
    async with playing("empty") as sim:
        assert await sim.get(f"{V2}?service_id=code-manager") == {
            "commits": [],
            "pagination": {"total": 0, "limit": 1000, "offset": 0},
        }
        assert await sim.get(f"{V1}?service_id=code-manager") == {"commits": [], "total-rows": 0}


@pytest.mark.parametrize(
    "path",
    [
        V1,
        f"{V1}?service_id=rbac&offset=x",
        f"{V1}?service_id=rbac&order=up",
        f"{V1}?service_id=rbac&after_service_commit_time=then",
        f"{V2}?limit=-1",
        f"{V2}?query=x",
        f"{V2}?query=[7]",
        query({}),
        query({"colour": "red"}),
        query({"subject_id": "x", "object_id": "y"}),
        query({"start": "2025-03-09T10:16:00Z"}),
        query({"start": "2025-03-09T10:16:00", "end": "2025-03-09T10:16:00"}),
    ],
)
async def test_questions_that_make_no_sense(path):
    async with playing("empty") as sim:
        assert (await sim.get(path, ok=400))["msg"]
