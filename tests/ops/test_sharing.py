"""Owner, standby, fenced: what status, readiness, metrics, page and log tell of the workers' group."""

from __future__ import annotations

from typing import Any

import pytest

from orchbridge.core.errors import Refused, SinkLost
from orchbridge.core.ports import Share, StreamId
from orchbridge.ops.page import page
from orchbridge.ops.status import StreamStatus, ready
from tests.ops.stage import JOBS_STREAM, NODES_STREAM, PLANS_STREAM, Stage

NOT_YET = Share(frozenset(), "orchbridge", apart=SinkLost("has not joined the group yet", hint="wait"))


@pytest.fixture
def stage() -> Stage:
    return Stage()


def share(*owned: StreamId, **owners: str) -> Share:
    named = {f"prod/{kind}": name for kind, name in owners.items()}
    return Share(frozenset(owned), "orchbridge", tuple(sorted({"w1", *owners.values()})), named)


def row(stage: Stage, kind: str = "jobs") -> StreamStatus:
    return next(stream for stream in stage.watch.status().sources[0].streams if stream.kind == kind)


def reasons(stage: Stage) -> tuple[str, ...]:
    status = stage.watch.status()
    return ready(status, status.now)


def test_a_worker_is_not_ready_before_it_is_in_the_group_and_is_while_it_stands_by(stage: Stage) -> None:
    stage.watch.shared(NOT_YET)
    assert reasons(stage) == ("has not joined the group yet; wait",)
    assert stage.value("orchbridge_group_member") == 0
    stage.watch.shared(share(jobs="w2", plans="w2", inventory="w2"))
    assert reasons(stage) == ()
    assert stage.value("orchbridge_group_member") == 1
    assert stage.value("orchbridge_group_workers") == 2
    assert (row(stage).role, row(stage).owner) == ("standby", "w2")
    assert stage.events("group.joining", "group.joined", "group.lost") == ["group.joining", "group.joined"]


def test_the_roles_of_a_stream_that_comes_and_goes(stage: Stage) -> None:
    seen: list[tuple[str, Any]] = []

    def look() -> None:
        seen.append((row(stage).role, stage.value("orchbridge_stream_owned", "prod", "jobs")))

    look()
    stage.watch.shared(share(JOBS_STREAM, jobs="w1"))
    stage.watch.assigned(JOBS_STREAM)
    stage.carry()
    look()
    stage.watch.released(JOBS_STREAM, "ProducerFenced, and the group agrees")
    look()
    stage.watch.shared(share(jobs="w2"))
    stage.watch.revoked(JOBS_STREAM, "w2 carries it now")
    look()
    stage.watch.shared(share(JOBS_STREAM, jobs="w1"))
    stage.watch.assigned(JOBS_STREAM)
    stage.carry()
    look()
    assert seen == [("standby", 0), ("owner", 1), ("fenced", 0), ("standby", 0), ("owner", 1)]
    assert stage.value("orchbridge_stream_fenced_total", "prod", "jobs") == 1
    assert stage.value("orchbridge_group_rebalances_total") == 3
    revoked = [line for line in stage.lines if line["event"] == "stream.revoked"]
    assert [line["reason"] for line in revoked] == ["w2 carries it now"]
    assert stage.events("stream.assigned", "stream.claimed", "stream.released") == [
        "stream.assigned", "stream.claimed", "stream.released", "stream.assigned", "stream.claimed",
    ]  # fmt: skip


def test_a_worker_that_stumbled_before_it_knew_its_share_stands_by_where_others_carry_the_streams(stage: Stage) -> None:
    """All workers wait for Kafka, each in the name of every stream; then each is given some of them."""
    for stream in (JOBS_STREAM, PLANS_STREAM, NODES_STREAM):
        stage.watch.stumbled(stream, SinkLost("Kafka is away", hint="start it"), 1.0)
    assert row(stage, "plans").state == "stumbling"
    stage.watch.shared(NOT_YET)
    assert row(stage, "plans").state == "stumbling", "nobody has said yet that it is another's"
    stage.watch.shared(share(JOBS_STREAM, jobs="w1", plans="w2", inventory="w2"))
    stage.watch.assigned(JOBS_STREAM)
    stage.clock.now += 20
    assert reasons(stage) == ()
    stage.carry()
    stage.clock.now += 3_600
    assert (row(stage, "plans").state, row(stage, "plans").role, row(stage, "plans").owner) == (
        "standby",
        "standby",
        "w2",
    )
    assert [stage.value("orchbridge_lag_seconds", "prod", kind) for kind in ("jobs", "plans", "inventory")] == [
        3_600, None, None,
    ]  # fmt: skip
    assert [reason.partition(" ")[0] for reason in reasons(stage)] == ["prod/jobs"]


@pytest.mark.parametrize("how", ["released", "revoked"])
def test_what_another_worker_tells_about_now_goes_and_counters_stay(stage: Stage, how: str) -> None:
    stage.carry()
    stage.carry(NODES_STREAM)
    assert stage.value("orchbridge_lag_seconds", "prod", "jobs") is not None
    assert stage.value("pe_jobs", "prod", "running") is not None
    getattr(stage.watch, how)(JOBS_STREAM, "w2 carries it now")
    assert stage.value("orchbridge_lag_seconds", "prod", "jobs") is None
    assert stage.value("pe_jobs", "prod", "running") is None
    assert stage.value("pe_nodes", "prod", "true") is not None
    assert stage.value("orchbridge_commits_total", "prod", "jobs") == 0


def test_out_of_the_group_it_says_so_once_a_minute_and_what_it_carries_goes_on(stage: Stage) -> None:
    stage.watch.shared(share(PLANS_STREAM, plans="w1", jobs="w2"))
    stage.carry(PLANS_STREAM)
    refused = Refused("group orchbridge is refused: not authorized", hint="allow the user Read on the group")
    for _ in range(3):
        stage.watch.shared(Share(frozenset(), "orchbridge", ("w1", "w2"), apart=refused))
        stage.clock.now += 1
    assert stage.events("group.lost") == ["group.lost"]
    assert reasons(stage) == ("group orchbridge is refused: not authorized; allow the user Read on the group",)
    assert row(stage, "plans").role == "owner"
    stage.watch.shared(share(PLANS_STREAM, plans="w1", jobs="w2"))
    assert reasons(stage) == ()
    assert stage.events("group.joined") == ["group.joined", "group.joined"]


def test_the_page_names_the_workers(stage: Stage) -> None:
    stage.watch.shared(share(JOBS_STREAM, jobs="w1", plans="<w2>"))
    stage.carry()
    shown = page(stage.watch.status(), ())
    assert "beside &lt;w2&gt;" in shown
    assert "<w2>" not in shown
    assert "carried by <bdi>&lt;w2&gt;</bdi>" in shown


def test_where_nothing_is_shared_there_is_no_word_of_a_group(stage: Stage) -> None:
    stage.watch.shared(Share(frozenset({JOBS_STREAM})))
    stage.watch.assigned(JOBS_STREAM)
    assert stage.watch.status().group is None
    assert "in group" not in page(stage.watch.status(), ())
    assert stage.events("group.joined", "stream.assigned") == []
    assert stage.value("orchbridge_group_member") is None
