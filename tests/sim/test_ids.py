"""The mixed spellings of ids (reference 16.1): text here, number there, and spaces that must not be confused."""

from tests.sim.playing import playing

WEB = "web01.example.com"


async def test_text_and_number_are_mixed_as_on_real_servers():
    async with playing("demo", at=150.0) as sim:
        jobs = (await sim.get("jobs?limit=500&order_by=name"))["items"]
        assert all(isinstance(job["name"], str) and job["id"].endswith(f"/jobs/{job['name']}") for job in jobs)
        children = [job for job in jobs if "plan_job" in job["options"]]
        assert children
        assert all(isinstance(job["options"]["plan_job"], int) for job in children)
        events = (await sim.get(f"jobs/{jobs[0]['name']}/events"))["items"]
        assert all(isinstance(event["id"], str) for event in events)
        rows = (await sim.get(f"jobs/{jobs[0]['name']}/nodes"))["items"]
        assert all(isinstance(row["latest-event-id"], int) for row in rows)
        spellings = set()
        for plan in await sim.ids("plan_jobs?limit=500"):
            for event in (await sim.get(f"plan_jobs/{plan}/events"))["items"]:
                assert isinstance(event["id"], str)
                if "job-id" in event["details"]:
                    spellings.add(type(event["details"]["job-id"]))
                if "plan-id" in event["details"]:
                    assert event["details"]["plan-id"] == str(plan)
        assert spellings == {int, str}


async def test_jobs_and_plan_jobs_with_one_number_are_different_things():
    async with playing("empty") as sim:
        await sim.post("command/deploy", {"environment": "production"})
        assert await sim.post("command/plan_run", {"plan_name": "rollout::web", "params": {}}) == {"name": "1"}
        assert (await sim.get("jobs/1"))["type"] == "deploy"
        assert (await sim.get("plan_jobs/1"))["options"]["plan_name"] == "rollout::web"
        assert isinstance((await sim.get("plan_jobs/1", at=30.0))["status"], dict)
        assert isinstance((await sim.get("jobs/1"))["status"], list)
        assert (await sim.get("plan_jobs/1/event/1"))["type"] == "out_message"
        assert [fact["id"] for fact in sim.facts if fact["fact"] in {"job_event", "plan_event"}].count(1) == 2


async def test_a_scheduled_job_is_spelled_two_ways_and_its_runs_have_numbers():
    async with playing("empty") as sim:
        for kind, name in (("task", "facts"), ("plan", "rollout::web")):
            body = {
                "type": kind,
                "input": {"name": name, "parameters": {}, **({"scope": {"nodes": [WEB]}} if kind == "task" else {})},
                "environment": "production",
                "schedule": {"start_time": "2025-03-09T10:16:40Z", "interval": None},
                "description": "",
                "userdata": {},
            }
            made = await sim.post("scheduled_jobs/environment_jobs", body, ok=200)
            assert isinstance(made["scheduled_job"]["name"], str)
        job = await sim.get("jobs/1", at=61.0)
        plan = await sim.get("plan_jobs/1")
        assert job["options"]["scheduled-job-id"] == "33"
        assert plan["options"]["scheduled_job_id"] == "34"
        last = (await sim.get("scheduled_jobs/environment_jobs/33"))["last_run"]["job"]
        assert last == {"id": "https://pe.test:8143/orchestrator/v1/jobs/1", "name": 1}
        last = (await sim.get("scheduled_jobs/environment_jobs/34"))["last_run"]["job"]
        assert last == {"id": "https://pe.test:8143/orchestrator/v1/plan_jobs/1", "name": 1}
