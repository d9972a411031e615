"""What was used, day by day."""

from tests.sim.playing import playing

WEB, APP = "web01.example.com", "app01.example.com"


async def test_newest_day_first_with_what_tasks_and_plans_touched():
    async with playing("empty:nodes=5") as sim:
        task = {"task": "facts", "params": {}, "scope": {"nodes": [WEB, APP, "off.example.com"]}}
        await sim.post("command/task", task)
        await sim.post("command/task", task, at=86_400.0)
        await sim.post("command/plan_run", {"plan_name": "rollout::web", "params": {}})
        usage = await sim.get("usage", at=86_460.0)
        today, yesterday, *older = usage["items"]
        assert (today["date"], yesterday["date"], len(older)) == ("2025-03-10", "2025-03-09", 28)
        assert (today["total_nodes"], today["nodes_with_agent"], today["nodes_without_agent"]) == (5, 5, 0)
        assert (yesterday["nodes_affected_by_task_runs"], yesterday["nodes_affected_by_plan_runs"]) == (2, 0)
        assert (today["nodes_affected_by_task_runs"], today["nodes_affected_by_plan_runs"]) == (2, 3)
        assert usage["pagination"] == {}
        assert older[-1]["total_nodes"] == 0


async def test_days_can_be_chosen():
    async with playing("empty") as sim:
        asked = "usage?start_date=2025-03-07&end_date=2025-03-08&events=exclude"
        usage = await sim.get(asked)
        assert [item["date"] for item in usage["items"]] == ["2025-03-08", "2025-03-07"]
        assert usage["pagination"] == {"start_date": "2025-03-07", "end_date": "2025-03-08"}
        assert set(usage["items"][0]) == {"date", "total_nodes", "nodes_with_agent", "nodes_without_agent"}
        assert [item["date"] for item in (await sim.get("usage?start_date=2025-03-09"))["items"]] == ["2025-03-09"]
        future = await sim.get("usage?start_date=2026-01-01&end_date=2026-01-02")
        assert future["items"] == []
