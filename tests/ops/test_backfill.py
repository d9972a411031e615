"""A backfill on the status page, in the metrics and in readiness: seen, and never a reason for alarm."""

from __future__ import annotations

from orchbridge.core.batch import Batch
from orchbridge.core.ports import StreamId
from orchbridge.core.records import INFO, NOTICES, Record
from orchbridge.core.view import StreamView
from orchbridge.core.window import Progress
from orchbridge.ops.page import page
from orchbridge.ops.status import ready
from tests.ops.stage import START, Stage

BACKFILL = StreamId("prod", "jobs-backfill")


def view(done: int, skipped: int = 0, *, over: bool = False) -> StreamView:
    return StreamView(position=done, progress=Progress(done, 9_800, skipped, over=over))


def test_a_backfill_that_waits_or_is_done_is_no_reason() -> None:
    stage = Stage()
    stage.watch.assigned(BACKFILL)
    stage.watch.waiting(BACKFILL, StreamView())
    stage.clock.now += 3_600.0
    assert ready(stage.watch.status(), stage.clock.now) == ()
    stage.watch.claimed(BACKFILL, view(0))
    stage.clock.now += 3_600.0
    assert "jobs-backfill has not completed a lap" in ready(stage.watch.status(), stage.clock.now)[0]
    stage.watch.finished(BACKFILL, view(9_800, over=True))
    stage.clock.now += 3_600.0
    assert ready(stage.watch.status(), stage.clock.now) == ()
    assert "9,800 of 9,800 jobs, 100 %" in page(stage.watch.status(), ())


def test_the_page_says_how_much_is_done_and_how_long_it_will_take() -> None:
    stage = Stage()
    stage.watch.claimed(BACKFILL, view(1_000))
    assert ">1,000 of 9,800 jobs, 10 %<" in page(stage.watch.status(), ())
    stage.clock.now += 60.0
    stage.watch.lapped(BACKFILL, Batch((), {}, view(3_150)), stage.clock.now)
    assert "3,150 of 9,800 jobs, 32 %; about 3 min left" in page(stage.watch.status(), ())
    stage.watch.lapped(BACKFILL, Batch((), {}, view(3_150, skipped=12)), stage.clock.now)
    assert "12 gone before they were read" in page(stage.watch.status(), ())


def test_its_progress_is_a_gauge_that_goes_with_the_stream() -> None:
    stage = Stage()
    stage.watch.claimed(BACKFILL, view(1_000))
    stage.watch.lapped(BACKFILL, Batch((), {}, view(3_150, skipped=3)), START)
    text = stage.metrics.text("")[0].decode()
    for name, value in (("size", 9800), ("done", 3150), ("skipped", 3)):
        assert f'orchbridge_backfill_{name}{{source="prod",stream="jobs-backfill"}} {value}.0' in text
    stage.watch.finished(BACKFILL, view(9_797, skipped=3, over=True))
    text = stage.metrics.text("")[0].decode()
    assert 'orchbridge_backfill_done{source="prod",stream="jobs-backfill"} 9797.0' in text
    assert 'orchbridge_stream_owned{source="prod",stream="jobs-backfill"} 0.0' in text
    stage.watch.revoked(BACKFILL, "w2 carries it now")
    assert "orchbridge_backfill_done{" not in stage.metrics.text("")[0].decode()


def test_good_news_is_no_warning() -> None:
    stage = Stage()
    notice = Record(
        NOTICES, "prod", "prod", "e1:jobs/notice/backfill_done/1-9", "bridge.notice.v1", "bridge", "", "", "e1",
        {"kind": "backfill_done", "explanation": "all is told"}, None, INFO,
    )  # fmt: skip
    stage.watch.committed(BACKFILL, Batch((notice,), {}, StreamView()), 0.1)
    (line,) = [line for line in stage.lines if line["event"] == "notice.given"]
    assert line["level"] == "info"


def test_a_quiet_backfill_is_told_of_only_once_it_has_something_to_do() -> None:
    stage = Stage(quiet=frozenset({"jobs-backfill"}))

    def told() -> bool:
        text = stage.metrics.text("")[0].decode() + page(stage.watch.status(), ())
        return "jobs-backfill" in text or "stream.done" in stage.events()

    stage.watch.assigned(BACKFILL)
    assert not told()
    stage.watch.finished(BACKFILL, StreamView(progress=Progress(over=True)))
    assert not told()
    stage.watch.claimed(BACKFILL, view(1_000))
    stage.watch.lapped(BACKFILL, Batch((), {}, view(3_150)), stage.clock.now)
    assert told()


def test_one_that_is_looked_at_again_and_still_done_is_told_once() -> None:
    stage = Stage()
    stage.watch.claimed(BACKFILL, view(9_700))
    for _ in range(3):
        stage.watch.finished(BACKFILL, view(9_800, over=True))
        stage.clock.now += 300.0
    assert stage.events().count("stream.done") == 1
