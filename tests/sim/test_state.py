"""With a state file the world outlives its process, even one that is killed while it writes."""

import asyncio
import contextlib
import json
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from random import Random

import httpx
import pytest

from orchbridge.core.errors import ConfigError
from orchbridge.sim.app import create_app
from orchbridge.sim.knobs import Knobs
from orchbridge.sim.serve import SimulatorOptions, run_server
from orchbridge.sim.state import begun

WEB = "web01.example.com"
TASK = {"task": "facts", "params": {}, "scope": {"nodes": [WEB]}}
LOGIN = {"login": "ops", "password": "simulated", "lifetime": "1h"}
TOKEN = "0simulated"


class Clock:
    """World seconds, moved by hand."""

    now = 0.0


@contextlib.asynccontextmanager
async def living(path, clock, monkeypatch, *, start=1_741_500_000.0, scenario=None, facts=None, **knobs):
    """Yield a client of the world in this file; real time is not asked for."""
    monkeypatch.setattr("orchbridge.sim.state.time.time", lambda: start + clock.now)
    state = begun(path, scenario=scenario, seed=None, knobs=knobs, start=start)
    world = state.world()
    if facts is not None:
        world.listen(facts.extend)
    app = create_app(world, token=TOKEN, clock=lambda: clock.now)
    clock.now = state.resume(app.state.house)
    transport = httpx.ASGITransport(app)
    headers = {"X-Authentication": TOKEN}
    try:
        async with httpx.AsyncClient(transport=transport, base_url="https://pe.test", headers=headers) as http:
            http.state = state
            yield http
    finally:
        state.close()


async def asked(http, method, path, status=None, **more):
    url = path if path.startswith("/") else f"/orchestrator/v1/{path}"
    answer = await http.request(method, url, **more)
    assert status in {None, answer.status_code}, answer.text
    return answer.json() if answer.content else None


READ = (
    *("jobs?limit=500&order_by=name", "plan_jobs?limit=500", "inventory", "scheduled_jobs/environment_jobs", "usage"),
    *("scopes/task_targets", "/activity-api/v2/events?order=asc", "/sim/users", "/sim/knobs", "jobs/1/events"),
    *("jobs/1/nodes", "plan_jobs/1/events", "tasks?environment=mars"),
)


async def everything(http):
    """Return all that can be read."""
    return {path: await asked(http, "GET", path) for path in READ}


async def a_busy_hour(http, clock):
    """Do one of everything; return a token."""
    ops = (await asked(http, "POST", "/rbac-api/v1/auth/token", 200, json=LOGIN))["token"]
    await asked(http, "POST", "/rbac-api/v1/auth/token", 401, json={**LOGIN, "password": "wrong"})
    mine = {"X-Authentication": ops}
    await asked(http, "POST", "command/task", 202, json=TASK, headers=mine)
    clock.now += 0.7
    await asked(http, "POST", "command/deploy", 202, json={"environment": "production", "userdata": {"x": 1}})
    await asked(http, "POST", "command/plan_run", 202, json={"plan_name": "rollout::web", "params": {"batch": 1}})
    clock.now += 1.1
    await asked(http, "POST", "command/stop", 202, json={"job": "2"})
    await asked(http, "POST", "command/task", 400, json={**TASK, "params": {"x": 1}})
    target = {"display_name": "x", "tasks": [], "nodes": [], "node_groups": []}
    await asked(http, "POST", "command/task_target", 200, json=target)
    schedule = {
        "type": "task",
        "input": {"name": "facts", "parameters": {}, "scope": {"nodes": [WEB]}},
        "environment": "production",
        "schedule": {"start_time": "2025-03-09T07:00:00Z", "interval": {"units": "seconds", "value": 600}},
        "description": "",
        "userdata": {},
    }
    await asked(http, "POST", "scheduled_jobs/environment_jobs", 200, json=schedule, headers=mine)
    await asked(http, "PUT", "scheduled_jobs/environment_jobs/31", 200, json={"enabled": False})
    await asked(http, "POST", "/sim/users", 200, json={"login": "new", "roles": [3]})
    await asked(http, "POST", "/sim/environments", 200, json={"name": "mars", "present": True})
    await asked(http, "POST", "/sim/knobs", 200, json={"owner": "id+login"})
    await asked(http, "POST", "/sim/inventory", 200, json={"node": WEB, "connected": False})
    clock.now += 40.0
    await asked(http, "POST", "/sim/prune", 200, json={"oldest": 0})
    return ops


async def test_everything_is_as_it_was(tmp_path, monkeypatch):
    clock, path = Clock(), tmp_path / "world.state"
    async with living(path, clock, monkeypatch, scenario="quiet", id_gaps="some,p=0.5") as http:
        token = await a_busy_hour(http, clock)
        before, facts = await everything(http), []
    async with living(path, clock, monkeypatch, facts=facts) as http:
        assert await everything(http) == before
        mine = {"X-Authentication": token}
        await asked(http, "GET", "jobs", 200, headers=mine)
        told = {fact["id"] for fact in facts if fact["fact"] == "job"}
        assert told == {int(job["name"]) for job in before[READ[0]]["items"]}  # the whole truth, told anew
        clock.now = 3700.0
        await asked(http, "GET", "jobs", 401, headers=mine)  # an hour is an hour
    async with living(path, clock, monkeypatch) as http:
        assert clock.now >= 3700.0


@pytest.mark.parametrize("seed", range(3))
async def test_the_truth_played_again_is_the_truth_that_was(tmp_path, monkeypatch, seed):
    clock, path, chance, first, again = Clock(), tmp_path / "world.state", Random(seed), [], []
    knobs = {"id_gaps": "some,p=0.3", "event_visibility": "ids:4,p=0.3", "prune": "after:9"}
    async with living(path, clock, monkeypatch, scenario="demo", facts=first, **knobs) as http:
        while clock.now < 60.0:
            clock.now += chance.choice((0.0, 0.01, 0.3, 1.7))
            match chance.randrange(6):
                case 0:
                    await asked(http, "POST", "command/task", 202, json=TASK)
                case 1:
                    await asked(http, "POST", "command/deploy", 202, json={"environment": "production"})
                case 2:
                    await asked(
                        http, "POST", "/sim/restore", 200, json={"to_job": http.state._house.world.job_ids.last - 1}
                    )
                case 3:
                    await asked(
                        http, "POST", "/sim/knobs", 200, json={"activity": chance.choice(("at-end", "at-start"))}
                    )
                case _:
                    await asked(http, "GET", "jobs", 200)
    async with living(path, clock, monkeypatch, facts=again):
        assert again == first
    assert sum(fact["fact"] == "restored" for fact in first) > 2


async def test_time_goes_on_while_nobody_is_there(tmp_path, monkeypatch):
    clock, path = Clock(), tmp_path / "world.state"
    async with living(path, clock, monkeypatch, scenario="scheduled") as http:
        await asked(http, "POST", "command/task", 202, json=TASK)
        clock.now = 2.0
    clock.now = 50.0
    async with living(path, clock, monkeypatch) as http:
        job = await asked(http, "GET", "jobs/1", 200)
        assert job["state"] == "finished"
        runs = (await asked(http, "GET", "scheduled_jobs/environment_jobs/33"))["last_run"]
        assert runs["time"] == "2025-03-09T06:00:46Z"


async def test_nobody_is_idle_while_there_is_no_server(tmp_path, monkeypatch):
    clock, path = Clock(), tmp_path / "world.state"
    async with living(path, clock, monkeypatch, scenario="quiet") as http:
        await asked(http, "POST", "/sim/users", 200, json={"login": "ops", "idle_minutes": 10})
        token = (await asked(http, "POST", "/rbac-api/v1/auth/token", 200, json=LOGIN))["token"]
    clock.now = 900.0
    async with living(path, clock, monkeypatch) as http:
        await asked(http, "GET", "jobs", 200, headers={"X-Authentication": token})
        clock.now = 1600.0
        await asked(http, "GET", "jobs", 401, headers={"X-Authentication": token})


async def test_time_never_goes_back(tmp_path, monkeypatch):
    clock, path = Clock(), tmp_path / "world.state"
    async with living(path, clock, monkeypatch, scenario="quiet") as http:
        clock.now = 500.0
        await asked(http, "GET", "jobs", 200)
    clock.now = -3000.0  # somebody set the clock of the machine
    async with living(path, clock, monkeypatch):
        assert clock.now == 500.0


async def test_a_tail_without_its_end_never_was(tmp_path, monkeypatch):
    clock, path = Clock(), tmp_path / "world.state"
    async with living(path, clock, monkeypatch, scenario="empty") as http:
        await asked(http, "POST", "command/task", 202, json=TASK)
        whole = path.read_bytes()
        await asked(http, "POST", "command/task", 202, json=TASK)
        longer = path.read_bytes()
    assert longer.startswith(whole)
    for size in range(len(whole), len(longer) + 1):
        copy = tmp_path / "copy.state"
        copy.write_bytes(longer[:size])
        async with living(copy, clock, monkeypatch) as http:
            jobs = (await asked(http, "GET", "jobs"))["items"]
            assert len(jobs) == (2 if size == len(longer) else 1)
            await asked(http, "POST", "command/task", 202, json=TASK)
        async with living(copy, clock, monkeypatch) as http:
            assert len((await asked(http, "GET", "jobs"))["items"]) == len(jobs) + 1
        copy.unlink()


async def test_what_is_refused_or_only_read_is_not_written(tmp_path, monkeypatch):
    clock, path = Clock(), tmp_path / "world.state"
    async with living(path, clock, monkeypatch, scenario="quiet") as http:
        before = path.read_bytes()
        for refused in ({**TASK, "task": "no::such"}, [], {**TASK, "params": {"x": 1}}):
            await asked(http, "POST", "command/task", json=refused)
        await asked(http, "POST", "inventory", 200, json={"nodes": [WEB]})
        await asked(http, "GET", "jobs", 200)
        await asked(http, "POST", "/sim/requests", 200, json={})
        assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


HEAD = '{"orchbridge_simulator":1,"scenario":"quiet","seed":1,"start":0.0,"knobs":{}}\n'


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not a state file"),
        ("hello\n", "not a state file"),
        ("[[sources]]\n", "not a state file"),
        (HEAD[:-20], "not a state file"),
        ('{"orchbridge_simulator":1}\n', "not a state file"),
        (HEAD.replace(":1,", ":7,", 1), "format is 7"),
        (HEAD + "{}\n", "line 2 cannot be read"),
        (HEAD + '{"at":1.0,"then":[0,0,0,0,32,0,8,0,0]}\nhello\n', "line 3 cannot be read"),
        (HEAD + '{"at":9.0,"then":[]}\n{"at":1.0,"then":[]}\n', "line 3 is older"),
        (HEAD + '{"at":1.0,"then":[7]}\n', "line 2 cannot be played again"),
        (HEAD + '{"at":1.0,"then":[],"route":["POST","/sim","dance"],"user":"ops"}\n', "line 2 asks for what does not"),
        (HEAD + '{"at":1.0,"then":[],"route":["POST","/sim","knobs"],"user":"who"}\n', "line 2 asks for what does not"),
        (HEAD.replace("quiet", "nowhere"), "no scenario 'nowhere'"),
        (HEAD.replace("{}", '{"colour":"red"}'), "no knob 'colour'"),
    ],
)
def test_a_broken_file_is_one_clear_line_and_exit_2(tmp_path, text, word):
    path = tmp_path / "world.state"
    path.write_text(text)
    done = simulate("--state", str(path))
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert word in done.stderr
    assert path.read_text() == text  # and nothing is lost


def simulate(*arguments):
    command = [sys.executable, "-m", "orchbridge", "simulate", "--port", "0", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_file_that_cannot_be_made_or_has_another_story(tmp_path):
    done = simulate("--state", str(tmp_path / "nowhere" / "x"))
    assert (done.returncode, "No such file" in done.stderr) == (2, True)
    path = tmp_path / "world.state"
    begun(path, scenario="quiet", seed=3, knobs={}, start=0.0).close()
    for given in (("--scenario", "demo"), ("--seed", "4")):
        done = simulate("--state", str(path), *given)
        assert done.returncode == 2
        assert "it holds quiet with seed 3" in done.stderr
    assert simulate("--state", str(tmp_path / "new"), "--scenario", "nope").returncode == 2
    assert not (tmp_path / "new").exists()


def test_two_simulators_do_not_share_a_world(tmp_path):
    path = tmp_path / "world.state"
    first = begun(path, scenario="quiet", seed=None, knobs={}, start=0.0)
    with pytest.raises(ConfigError, match="another simulator uses it"):
        begun(path, scenario="quiet", seed=None, knobs={}, start=0.0)
    first.close()
    begun(path, scenario="quiet", seed=None, knobs={}, start=0.0).close()


async def test_knobs_given_at_the_restart_are_turned_and_others_stay(tmp_path):
    path = tmp_path / "world.state"

    async def knobs(**given):
        stop, addresses = asyncio.Event(), asyncio.Queue()
        options = SimulatorOptions(port=0, scenario="quiet", state_path=path, knobs=given)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(run_server(options, stop, addresses.put_nowait))
            async with httpx.AsyncClient(base_url=await addresses.get(), trust_env=False) as http:
                answer = (await http.get("/sim/knobs")).json()
            stop.set()
        return {name: value for name, value in answer.items() if value != getattr(Knobs(), name)}

    assert await knobs(shape_version="2019.8") == {"shape_version": "2019.8"}
    assert await knobs() == {"shape_version": "2019.8"}
    assert await knobs(owner="id+login") == {"shape_version": "2019.8", "owner": "id+login"}
    assert await knobs(shape_version="2021.6") == {"shape_version": "2021.6", "owner": "id+login"}
    assert await knobs(shape_version="2025") == {"owner": "id+login"}  # as they are born is something to turn to, too


@contextlib.contextmanager
def program(path, truth):
    """Run the simulator with this state and yield its process and address."""
    command = [sys.executable, "-m", "orchbridge", "simulate", "--port", "0", "--state", str(path)]
    command += ["--scenario", "empty:nodes=3,shortest=0.1,longest=0.3", "--truth", str(truth)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        try:
            yield child, child.stderr.readline().split()[-1]
        finally:
            child.kill()
            child.wait()


def hammer(address, answered, seen):
    """Start tasks until the server is gone; keep every id that was answered."""
    with httpx.Client(base_url=address, trust_env=False, timeout=10) as http, contextlib.suppress(httpx.HTTPError):
        while True:
            body = {**TASK, "userdata": {"nonce": f"{threading.get_ident()}-{len(answered)}"}}
            number = http.post("/orchestrator/v1/command/task", json=body).json()["job"]["name"]
            job = http.get(f"/orchestrator/v1/jobs/{number}").json()
            answered[number] = (body["userdata"], job["created_timestamp"])
            seen.set()


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_that_was_answered_is_lost_by_kill_9_while_writing(tmp_path, seed):
    chance, path, truth = Random(seed), tmp_path / "world.state", tmp_path / "truth.jsonl"
    answered = {}
    for _ in range(3):
        with program(path, truth) as (child, address):
            jobs = httpx.get(f"{address}/orchestrator/v1/jobs?limit=100000", trust_env=False).json()["items"]
            there = {job["name"]: (job["userdata"], job["created_timestamp"]) for job in jobs}
            assert answered.items() <= there.items()
            assert len(there) <= len(answered) + 3  # at most what each thread had on its way
            answered.update(there)
            seen = threading.Event()
            threads = [threading.Thread(target=hammer, args=(address, answered, seen)) for _ in range(3)]
            for thread in threads:
                thread.start()
            assert seen.wait(30)
            time.sleep(chance.uniform(0.05, 0.4))  # any moment will do
            child.send_signal(signal.SIGKILL)
            child.wait(timeout=20)
            for thread in threads:
                thread.join(timeout=20)
    with program(path, truth) as (child, address):
        jobs = httpx.get(f"{address}/orchestrator/v1/jobs?limit=100000", trust_env=False).json()["items"]
        assert answered.keys() <= {job["name"] for job in jobs}
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=20) == 0
    facts = [json.loads(line) for line in truth.read_text().splitlines()]
    assert {fact["id"] for fact in facts if fact["fact"] == "job"} == {int(job["name"]) for job in jobs}


@contextlib.contextmanager
def full_disk(path, room):
    """Let this process's files grow by so many bytes and no more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_spoils_nothing(tmp_path):
    path = tmp_path / "world.state"
    state = begun(path, scenario="quiet", seed=None, knobs={}, start=time.time())
    app = create_app(state.world(), token=None, clock=lambda: 0.0)
    state.resume(app.state.house)
    before = path.read_bytes()
    with full_disk(path, 5), pytest.raises(ConfigError, match="cannot be written: File too large"):
        state.close()
    assert path.read_bytes() == before


@pytest.mark.parametrize("room", [0, 20])
async def test_after_a_request_that_could_not_be_kept_nothing_is_changed_and_the_file_can_be_played(
    tmp_path, monkeypatch, room
):
    clock, path = Clock(), tmp_path / "world.state"
    with pytest.raises(ConfigError, match="cannot be written"):
        async with living(path, clock, monkeypatch, scenario="empty") as http:
            await asked(http, "POST", "command/task", 202, json=TASK)
            before = path.read_bytes()
            with full_disk(path, room):
                told = await asked(http, "POST", "command/task", 500, json=TASK)
            assert "world.state: it cannot be written" in told["msg"]
            for method, url, body in (
                ("POST", "command/task", TASK),
                ("POST", "/rbac-api/v1/auth/token", LOGIN),
                ("POST", "/sim/knobs", {"owner": "id+login"}),
            ):
                assert (await asked(http, method, url, 500, json=body))["msg"] == told["msg"]
            await asked(http, "GET", "jobs", 200)
            assert path.read_bytes() == before
    assert path.read_bytes() == before
    async with living(path, clock, monkeypatch) as http:
        assert [job["name"] for job in (await asked(http, "GET", "jobs"))["items"]] == ["1"]
        await asked(http, "POST", "command/task", 202, json=TASK)
    async with living(path, clock, monkeypatch) as http:
        assert len((await asked(http, "GET", "jobs"))["items"]) == 2
