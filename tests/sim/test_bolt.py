"""A plan that somebody else drives, and nodes without agents."""

from tests.sim.playing import playing

WEB = "web01.example.com"
TASK = {"task": "facts", "params": {}, "scope": {"nodes": [WEB]}}


async def test_a_plan_driven_from_elsewhere():
    async with playing("empty") as sim:
        asked = {
            "plan_name": "mine::all",
            "description": "by hand",
            "params": {"a": 1, "b": "hush"},
            "sensitive": ["b"],
        }
        assert await sim.post("command/plan_start", asked) == {"name": "1"}
        started = await sim.post("command/plan_task", {**TASK, "plan_job": "1"}, at=1.0)
        assert started["job"]["name"] == "1"
        plan = await sim.get("plan_jobs/1", at=600.0)
        assert (plan["state"], plan["options"]["parameters"]) == ("running", {"a": 1})  # for ever, if nobody ends it
        assert plan["options"]["sensitive"] == ["b"]
        assert plan["status"]["1"][-1]["state"] == "finished"
        job = await sim.get("jobs/1")
        assert (job["type"], job["options"]["plan_job"]) == ("plan_task", 1)
        await sim.post("command/plan_task", {**TASK, "plan_job": 1})
        await sim.post("command/plan_finish", {"plan_job": "1", "result": ["ok"], "status": "success"}, at=601.0)
        plan = await sim.get("plan_jobs/1")
        assert (plan["state"], plan["result"], list(plan["status"])) == ("success", ["ok"], ["1", "2"])
        types = [event["type"] for event in (await sim.get("plan_jobs/1/events"))["items"]]
        assert types == ["task_start", "task_start", "plan_finished"]
        await sim.post("command/plan_finish", {"plan_job": "1", "status": "failure"})
        assert (await sim.get("plan_jobs/1"))["state"] == "success"
        told = [fact["state"] for fact in sim.facts if fact["fact"] == "plan_state"]
        assert told == ["running", "success"]


async def test_a_driven_plan_can_fail():
    async with playing("empty") as sim:
        await sim.post("command/plan_start", {"plan_name": "mine::all"})
        error = {"kind": "bolt/run-failure", "msg": "no"}
        await sim.post("command/plan_finish", {"plan_job": "1", "status": "failure", "result": error}, at=2.0)
        (event,) = (await sim.get("plan_jobs/1/events"))["items"]
        assert (event["type"], event["details"]) == ("plan_failed", {"plan-id": "1", "result": error})


async def test_a_driven_plan_can_be_stopped():
    async with playing("empty") as sim:
        await sim.post("command/plan_start", {"plan_name": "mine::all"})
        await sim.post("command/stop_plan", {"plan_job": "1"}, at=2.0)
        assert (await sim.get("plan_jobs/1"))["state"] == "failure"


async def test_agentless_nodes_run_without_a_broker_and_their_secrets_are_nowhere():
    async with playing("empty:nodes=1") as sim:
        login = {"hostnames": ["switch1"], "user": "root", "password": "hush-hush", "transport": "ssh", "port": 22}
        await sim.post("command/task", {**TASK, "scope": {"nodes": ["switch1", "switch2"]}, "targets": [login]})
        answer = await sim.raw("GET", "jobs/1/nodes", at=60.0)
        states = {row["name"]: row["state"] for row in answer.json()["items"]}
        assert states["switch2"] == "errored"
        assert states["switch1"] in {"finished", "failed"}
        everything = answer.text + (await sim.raw("GET", "jobs/1")).text + str(sim.facts)
        assert "hush-hush" not in everything


async def test_environment_plan_run_turns_queries_and_groups_into_certnames():
    async with playing("empty:nodes=4") as sim:
        query = {"value": 'nodes { certname ~ "^web" }', "type": "query"}
        await sim.post("command/environment_plan_run", {"plan_name": "lists::nodes", "params": {"x": query}}, ok=404)
        params = {"where": query, "group": {"value": "f00d", "type": "node_group"}, "plain": {"value": 3}}
        await sim.post("command/environment_plan_run", {"plan_name": "patching::adhoc", "params": params})
        shown = (await sim.get("plan_jobs/1"))["options"]["parameters"]
        assert shown["where"] == [WEB]
        assert len(shown["group"]) == 4
        assert shown["plain"] == 3


async def test_queries_select_by_certname():
    async with playing("empty:nodes=8") as sim:
        for query, names in (
            ('nodes { certname = "web01.example.com" }', ["web01.example.com"]),
            ('nodes[certname] { certname ~ "^web" }', ["web01.example.com", "web02.example.com"]),
            ('inventory { certname in ["db01.example.com", "none"] }', ["db01.example.com"]),
            (["or", ["=", "certname", "app01.example.com"], ["~", "certname", "^db"]], 3),
            (["and", ["not", ["~", "certname", "01"]], ["=", ["fact", "x"], "y"]], 4),
            ("nodes {}", 8),
        ):
            started = await sim.post("command/task", {**TASK, "scope": {"query": query}})
            rows = (await sim.get(f"jobs/{started['job']['name']}/nodes"))["items"]
            assert (len(rows) if isinstance(names, int) else [row["name"] for row in rows]) == names, query
