"""The failure book: what failed lately, its errors grouped, bounded, and of live records alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from orchbridge.core.records import PLANS
from orchbridge.ops import failures
from orchbridge.ops.account import Where
from orchbridge.ops.failures import ErrorGroup, Failures
from tests.ops.stage import JOBS_STREAM, PLANS_STREAM, START, Stage, batch, ended, record

JOBS = Where("prod", "jobs")


def broken(node: str, message: str | None, *, job: int = 352, kind: str = "puppetlabs.tasks/task-error", **more: Any):
    error = None if message is None else {"kind": kind, "message": message, "exit_code": more.pop("code", 1)}
    data = {"node": node, "result": "failed", "message": more.pop("said", None), "error": error} | more
    return record(f"job.node.{data['result']}.v1", data, key=str(job))


def failed(job: int = 352, **node_states: int):
    end = ended(outcome="failure", key=str(job))
    about = end.data["job"] | {"id": job, "url": f"https://pe/#/jobs/{job}", "task": "package"}
    raw = msgspec.Raw(msgspec.json.encode(about))
    return msgspec.structs.replace(end, data=end.data | {"job": raw, "node_states": node_states or None})


def test_one_broken_task_on_900_nodes_is_one_error() -> None:
    book = Failures()
    for n in range(900):
        name = f"web{n:03}.example.com"
        book.committed(JOBS, [broken(name, f"{name}: pid {4000 + n} ended with 1 after {n} s")], START)
    assert book.recent(START) == (), "it has not failed before it ends"
    book.committed(JOBS, [failed(failed=899, errored=1, finished=100)], START + 1)
    (job,) = book.recent(START + 2)
    assert (job.id, job.name, job.url, job.at) == (352, "package", "https://pe/#/jobs/352", START + 1)
    assert (job.failed_nodes, job.finished) == (900, "2026-05-05T19:49:59Z")
    names = tuple(f"web{n:03}.example.com" for n in range(5))
    message = "<node>: pid 4000 ended with 1 after 0 s"
    assert job.errors == (ErrorGroup(message, "puppetlabs.tasks/task-error", 900, names),)


def test_other_errors_stand_apart_the_most_widespread_first() -> None:
    book = Failures()
    book.committed(JOBS, [broken("a", "no such file"), broken("b", "disk full"), broken("c", "disk full")], START)
    book.committed(JOBS, [broken("d", "disk full", code=2), broken("e", None, said="run  failed\n")], START)
    book.committed(JOBS, [broken("f", None, result="errored"), failed()], START)
    (job,) = book.recent(START)
    assert [(group.message, group.nodes, group.examples) for group in job.errors] == [
        ("disk full", 2, ("b", "c")), ("no such file", 1, ("a",)), ("disk full", 1, ("d",)),
        ("run failed", 1, ("e",)), ("no error message", 1, ("f",)),
    ]  # fmt: skip
    assert job.nodes == {"failed": 5, "errored": 1}, "counted where PE does not tell"


@pytest.mark.parametrize(
    ("node", "message", "told"),
    [
        ("a.test", "no route to a.test.", "no route to <node>."),
        ("a.test", "'a.test': refused (a.test:8142)", "'<node>': refused (<node>:8142)"),
        ("a.test", "banana.test and a.testing differ", "banana.test and a.testing differ"),
        ("a", "a plain word", "<node> plain word"),
        ("a.test", "." * 5000 + "a.test", "." * 299 + "…"),
    ],
)
def test_a_certname_in_a_message_is_any_node(node: str, message: str, told: str) -> None:
    book = Failures()
    book.committed(JOBS, [broken(node, message), failed()], START)
    assert book.recent(START)[0].errors[0].message == told


def test_events_after_the_end_and_the_certificate_belong_to_it() -> None:
    book = Failures()
    book.committed(JOBS, [failed(failed=1), broken("a", "late")], START)
    certificate = record("job.summary.v1", {"expected": {"nodes": 3, "by_state": {"failed": 2, "finished": 1}}})
    book.committed(JOBS, [certificate], START)
    (job,) = book.recent(START)
    assert (job.nodes, job.errors[0].message) == ({"failed": 2, "finished": 1}, "late")


@pytest.mark.parametrize("outcome", ["success", "stopped"])
def test_only_failures_are_failures(outcome: str) -> None:
    book = Failures()
    book.committed(JOBS, [broken("a", "x"), ended(outcome=outcome)], START)
    book.committed(JOBS, [msgspec.structs.replace(each, replay=True) for each in (broken("a", "x"), failed())], START)
    assert book.recent(START) == ()


def test_it_is_bounded() -> None:
    book = Failures()
    for job in range(1000):
        book.committed(JOBS, [broken("a" * 5000, "b" * 5000, job=job)], START)
    assert sum(map(len, book._cases.values())) <= failures.OPEN_MAX
    records = [broken(f"n{n}", "e" * (n + 1), job=7) for n in range(100)]
    book.committed(JOBS, [*records, *(failed(job) for job in range(100))], START)
    found = book.recent(START)
    assert len(found) == failures.RECENT_MAX
    assert [job.id for job in found[:2]] == [99, 98]
    assert max(len(job.errors) for job in book.recent(START)) <= failures.GROUPS_MAX + 1
    long = Failures()
    long.committed(JOBS, [*records, failed(7)], START)
    (job,) = long.recent(START)
    assert len(job.errors) == failures.GROUPS_MAX + 1
    assert (job.errors[0].message, job.errors[0].nodes) == ("other errors", 100 - failures.GROUPS_MAX)
    assert max(len(group.message) for group in job.errors) <= failures.MESSAGE_MAX


def test_it_forgets_after_an_hour_and_when_the_stream_is_let_go() -> None:
    stage = Stage()
    stage.carry(JOBS_STREAM)
    stage.watch.committed(JOBS_STREAM, batch(broken("a", "x"), failed(failed=1)), 0.02)
    labels = ("prod", "352", "task", "package", "production", "https://pe/#/jobs/352")
    stage.clock.now += 3599
    assert stage.value("pe_failed_job_nodes", *labels) == 1
    assert stage.watch.status().sources[0].failures[0].id == 352
    stage.clock.now += 1
    assert stage.value("pe_failed_job_nodes", *labels) is None
    stage.watch.committed(JOBS_STREAM, batch(failed(failed=1)), 0.02)
    assert stage.value("pe_failed_job_nodes", *labels) == 1
    stage.watch.revoked(JOBS_STREAM, "another worker joined")
    assert stage.value("pe_failed_job_nodes", *labels) is None
    stage.carry(JOBS_STREAM)
    assert stage.value("pe_failed_job_nodes", *labels) is None


def test_a_plan_tells_its_own_error_and_is_no_job() -> None:
    stage = Stage()
    stage.carry(PLANS_STREAM)
    plan = msgspec.Raw(b'{"id":9,"name":"app::deploy","environment":"production","owner":{}}')
    result = msgspec.Raw(b'{"kind":"bolt/run-failure","msg":"Plan aborted: 2 nodes failed","details":{}}')
    data = {"plan": plan, "outcome": "failure", "result": result, "finished_at": "2026-05-05T19:49:59Z"}
    end = record("plan.failed.v1", {"plan": plan, "result": result}, channel=PLANS, key="9")
    stage.watch.committed(PLANS_STREAM, batch(end, record("plan.state.changed.v1", data, channel=PLANS, key="9")), 0.02)
    (told,) = stage.watch.status().sources[0].failures
    assert (told.kind, told.id, told.name, told.nodes) == ("plan", 9, "app::deploy", {})
    assert told.errors == (ErrorGroup("Plan aborted: 2 nodes failed", "bolt/run-failure", 0),)
    assert "pe_failed_job_nodes{" not in stage.metrics.text("")[0].decode()


@pytest.mark.parametrize("data", [{}, {"job": 7, "node": None, "error": "x", "message": 3}, {"expected": None}])
def test_records_of_another_shape_break_nothing(data: dict[str, Any]) -> None:
    book = Failures()
    for type_ in ("job.node.failed.v1", "job.summary.v1", "plan.failed.v1"):
        book.committed(JOBS, [record(type_, data, key="x/y")], START)
    book.committed(JOBS, [record("job.state.changed.v1", data | {"outcome": "failure"}, key="x/y")], START)
    assert len(book.recent(START)) == 1
