"""The status page: what it says of every state, that it can be read by everybody, and that nothing becomes markup."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchbridge.core import times
from orchbridge.core.view import RecentJob, StreamView
from orchbridge.core.window import Progress
from orchbridge.ops.app import application
from orchbridge.ops.changes import Change, Moves
from orchbridge.ops.failures import ErrorGroup, FailedJob
from orchbridge.ops.grouped import grouped
from orchbridge.ops.metrics import Metrics
from orchbridge.ops.missed import MissedRun
from orchbridge.ops.page import page
from orchbridge.ops.page.html import Html, el
from orchbridge.ops.page.parts import RUNBOOKS, shares
from orchbridge.ops.page.style import DARK, LIGHT, PARTS_ON, STYLE, TEXT_ON
from orchbridge.ops.runbooks import runbooks
from orchbridge.ops.status import CanaryStatus, GroupStatus, Mishap, SourceStatus, Status, StreamStatus, ready
from tests.ops.stage import START

CREATED = "2026-05-05T19:49:00Z"
DOCS = Path(__file__).parent.parent.parent / "docs" / "status.md"
VOID = {"meta", "link", "br", "rect", "hr", "input", "img"}


def job(id_: int, **more: Any) -> RecentJob:
    plain = {"id": id_, "name": "package", "state": "running", "environment": "production", "created": CREATED}
    return RecentJob(**(plain | {"nodes": {"finished": 3, "running": 1}, "targets": 6} | more))


def broken(id_: int, nodes: int = 900, message: str = "The task errored with a code 2", **more: Any) -> FailedJob:
    error = ErrorGroup(message, "puppetlabs.tasks/task-error", nodes, ("web01", "web02"))
    told: dict[str, Any] = {"name": "package", "environment": "production", "url": f"https://pe/jobs/{id_}"}
    told |= {"type": "task", "finished": CREATED, "at": START - 60, "errors": (error,)} | more
    return FailedJob("prod", id_, "job", nodes={"failed": nodes, "finished": 4}, **told)


def stream(kind: str = "jobs", **more: Any) -> StreamStatus:
    return StreamStatus(kind, **({"state": "live", "interval_s": 2.0, "since": START - 60, "last_lap": START} | more))


def status(*streams: StreamStatus, **more: Any) -> Status:
    return Status("0.1.0", START - 60, START, (SourceStatus("prod", "pe:8143", True, streams=streams),), "w1", **more)


class Tree(HTMLParser):
    """Every element with its attributes and the text inside it; fails where elements do not close in order."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self._open: list[tuple[str, list[str]]] = []
        self.feed(markup)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.found.append((tag, dict(attrs), []))
        if tag not in VOID:
            self._open.append((tag, self.found[-1][2]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self._open
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, inner in self._open:
            inner.append(data)

    def all(self, tag: str = "", **attributes: str) -> list[tuple[dict[str, str | None], str]]:
        """Return (attributes, text) of the elements of this tag that have these attributes."""
        return [
            (told, "".join(inner))
            for name, told, inner in self.found
            if tag in {"", name} and all(told.get(key.rstrip("_")) == value for key, value in attributes.items())
        ]

    def text(self, **attributes: str) -> str:
        return " ".join(inner for _, inner in self.all(**attributes))


def seen(*streams: StreamStatus, reasons: tuple[str, ...] = (), **more: Any) -> Tree:
    return Tree(page(status(*streams, **more), reasons))


def everything() -> Status:
    """Return a status that makes every part of the page appear."""
    moves = Moves((Change("db01", "disconnected", CREATED, START, "b1"),), {"disconnected": 1})
    nodes = StreamView(nodes_connected=98, nodes_disconnected=2, nodes_by_broker={"b1": 97, "": 1})
    ended = (job(7, state="finished", complete=True, finished=CREATED), job(6, state="failed", complete=False))
    run = MissedRun(31, "task", "package", CREATED, "submission_error", START - 9, "x/unknown-environment")
    canary = CanaryStatus("facts", 900.0, START - 950, 3.2, Mishap(START - 50, "timeout: not in time", "look at it"))
    told = status(
        stream(view=StreamView(cursor="job 9", jobs_by_state={"running": 2}, running=(job(8), job(9)), recent=ended),
               failures=(broken(5), broken(4)), mishap=Mishap(START - 9, "the list: timeout", "raise timeout_s")),
        stream("plans", view=StreamView(jobs_by_state={"running": 1}, running=(job(3, kind="plan"),))),
        stream("inventory", view=nodes, moves=moves),
        stream("jobs-backfill", view=StreamView(progress=Progress(10, 100, 2)), left_s=180.0),
        stream("activity", state="standby", owner="w2"),
        stream("schedules", missed=(run,)),
        group=GroupStatus("orchbridge", ("w1", "w2"), START),
    )  # fmt: skip
    ends = {"token_expires": START + 9_000, "token_renewal": START + 60}
    return replace(told, sources=(replace(told.sources[0], canary=canary, **ends),))


def test_the_verdict_says_what_to_do() -> None:
    tree = seen(stream(), reasons=("prod/jobs is parked: the token has expired; write a new one",))
    assert "write a new one" in tree.text(id="verdict", role="alert")
    assert tree.text(tag="title").startswith("Not ready")
    assert "moving" in seen(stream()).text(id="verdict", role="status")
    assert "standing by" in seen(stream(state="standby")).text(id="verdict")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"up": False}, "prod does not answer"),
        ({"token_expires": START + 86_400}, "token of prod expires in 1 d"),
        ({"certificate_expires": START - 1}, "certificate of prod has expired"),
        (
            {"token_expires": START + 9_000, "token_renewal": START - 600},
            "in 2 h 30 min (its renewal failed); replace it",
        ),
        ({"canary": CanaryStatus("facts", 900.0, mishap=Mishap(START, "denied: no"))}, "did not arrive: denied: no"),
    ],
)
def test_the_verdict_warns_before_it_is_too_late(change: dict[str, Any], words: str) -> None:
    assert words in of_source(**change).text(id="verdict")


def test_a_token_that_is_renewed_in_time_is_no_worry() -> None:
    tree = of_source(token_expires=START + 9_000, token_renewal=START + 3_600)
    assert "moving" in tree.text(id="verdict", role="status")
    assert "token is renewed in 1 h 0 min" in tree.text(class_="facts")
    assert "token is renewed not: due 2 min 0 s ago" in of_source(token_renewal=START - 120).text(class_="facts")


def test_the_canary_is_told_of_where_it_is_sent() -> None:
    assert "last canary arrived none yet" in of_source(canary=CanaryStatus("facts", 900.0)).text(class_="facts")
    landed = CanaryStatus("facts", 900.0, START - 65, 3.21)
    tree = of_source(canary=landed)
    assert "canary facts, every 15 min 0 slast canary arrived 1 min 5 s ago, in 3.2 s" in tree.text(class_="facts")
    mishap = Mishap(START - 5, "timeout: the certificate of job 7 is not in the sink within 300 s", "look at the sink")
    told = of_source(canary=replace(landed, mishap=mishap)).text(class_="mishap warning")
    assert "did not arrive, 5.0 s ago: timeout" in told
    assert "What to do: look at the sink." in told
    assert "runbook" in told


def test_scheduled_runs_that_did_not_happen_are_named() -> None:
    run = MissedRun(
        31, "task", "package", "2026-05-05T19:45:00Z", "submission_error", START - 9, "x/unknown-environment"
    )
    others = [replace(run, schedule=40 + number, at=START - 50) for number in range(6)]
    tree = seen(stream("schedules", missed=(run, *others, *[replace(run, planned="before", at=START - 99)] * 6)))
    assert "13 scheduled runs of prod did not happen within the last hour" in tree.text(id="verdict")
    told = tree.text(class_="mishap warning")
    assert "task package of schedule 31, 7 times, the last planned for 2026-05-05T19:45:00Z: submission_err" in told
    assert "task package of schedule 40, planned for 2026-05-05T19:45:00Z: submission_error: x/unknown-env" in told
    assert "and 2 more schedules" in tree.text(class_="soft more")


def of_source(**change: Any) -> Tree:
    told = status(stream())
    return Tree(page(replace(told, sources=(replace(told.sources[0], **change),)), ()))


def test_an_error_is_loud_while_it_lasts_and_then_fades() -> None:
    mishap = Mishap(START - 30, "the list: cannot be reached", "check the port")
    lasting = seen(stream(last_lap=START - 20, mishap=replace(mishap, at=START - 9)))
    assert "What to do: check the port" in lasting.text(class_="mishap warning")
    assert "check the port" in seen(stream(state="parked", mishap=mishap)).text(class_="mishap error")
    assert "moves again" in seen(stream(mishap=mishap)).text(class_="mishap soft")
    assert "mishap" not in seen(stream(mishap=replace(mishap, at=START - 4_000))).text(tag="table")


def test_another_workers_stream_says_whose_it_is() -> None:
    assert "carried by w2" in Tree(page(everything(), ())).text(id="sources")


def test_a_bar_tells_the_same_to_those_who_do_not_see_it() -> None:
    (told, _), *_ = seen(stream(view=StreamView(running=(job(8),)))).all(role="progressbar")
    assert (told["aria-valuenow"], told["aria-valuemin"], told["aria-valuemax"]) == ("3", "0", "6")
    assert told["aria-valuetext"] == "3 of 6 nodes done: 3 finished, 1 running"
    assert told["aria-label"] == "Progress of job 8"
    assert shares({"finished": 3, "running": 1, "new": 1, "dreaming": 2}, 6) == {
        "finished": 3, "running": 1, "waiting": 3,
    }  # fmt: skip


def test_jobs_in_flight_come_oldest_first_and_say_how_many_more_there_are() -> None:
    jobs = tuple(job(id_, created=times.text(START - 1_000 + id_)) for id_ in range(100))
    tree = seen(stream(view=StreamView(running=tuple(reversed(jobs)), jobs_by_state={"running": 200})))
    numbers = [int(told["aria-label"].split()[-1]) for told, _ in tree.all(role="progressbar") if told["aria-label"]]
    assert numbers == list(range(52))
    assert tree.all(tag="summary")[0][1] == "and 188 more jobs"
    assert len(tree.all(tag="details", id="more-jobs")) == 1
    assert "and 148 more jobs" in tree.text(id="more-jobs")


def test_one_broken_task_on_900_nodes_is_one_line_with_900() -> None:
    several = (broken(5, 400), broken(4, 500, "The task errored with a code 127"), broken(3, 2, "no space left"))
    first, second = grouped(several)
    assert (first.nodes, len(first.jobs), second.nodes) == (900, 2, 2)
    tree = seen(stream(failures=several))
    summaries = [text for _, text in tree.all(tag="summary")]
    assert len(summaries) == 2
    assert summaries[0].startswith("900 nodes")
    assert {told["href"] for told, _ in tree.all(tag="a", rel="noreferrer")} == {
        f"https://pe/jobs/{n}" for n in (3, 4, 5)
    }
    assert "web01" in tree.text(id="failures")
    assert "and 898 more nodes" in tree.text(id="failures")


def test_a_stuck_stream_says_why_and_what_to_do() -> None:
    stuck = stream(last_lap=START - 50, mishap=Mishap(START - 3, "the list: cannot be reached", "open the port"))
    (reason,) = ready(status(stuck), START)
    assert (
        reason == "prod/jobs has not completed a lap for 50 s (limit 30 s): the list: cannot be reached; open the port"
    )
    old = replace(stuck, mishap=Mishap(START - 55, "over"))
    assert "over" not in ready(status(old), START)[0]


def test_the_name_of_an_opened_failure_does_not_change_while_it_grows() -> None:
    def names(*failures: FailedJob) -> list[str | None]:
        return [told["id"] for told, _ in seen(stream(failures=failures)).all(tag="details")]

    assert names(broken(5, 1)) == names(broken(9, 700), broken(5, 1))


def test_nodes_by_reachability_with_the_newest_changes() -> None:
    tree = Tree(page(everything(), ()))
    ((told, _),) = tree.all(role="meter")
    assert told["aria-valuetext"] == "98 of 100 nodes connected"
    for words in ("db01", "disconnected", "In the last hour: 1 disconnected", "99 %", "not told"):
        assert words in tree.text(id="nodes")


def test_history_tells_how_far_and_how_long() -> None:
    assert "10 of 100 jobs, 10 %, 2 gone before they were read; about 3 min left" in Tree(page(everything(), ())).text(
        id="history"
    )


def test_it_can_be_found_ones_way_in() -> None:
    tree = Tree(page(everything(), ()))
    assert len(tree.all(tag="main")) == len(tree.all(tag="h1")) == len(tree.all(tag="header")) == 1
    levels = [int(name[1]) for name, _, _ in tree.found if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    names = [told["id"] for told, _ in tree.all() if told.get("id")]
    assert len(names) == len(set(names))
    for told, _ in tree.all(tag="section"):
        assert told["aria-labelledby"] in names
    for told, _ in tree.all(tag="a"):
        address = told["href"] or ""
        assert address.removeprefix("#") in names if address.startswith("#") else address
    assert len(tree.all(tag="caption")) == len(tree.all(tag="table")) > 0
    assert all(text for _, text in tree.all(tag="caption"))
    assert all(told.get("scope") in {"col", "row"} for told, _ in tree.all(tag="th"))
    assert {"metrics", "status.json", "readyz", "healthz", "runbooks/"} <= {t["href"] for t, _ in tree.all(tag="a")}


def test_it_leads_to_runbooks_that_are_there() -> None:
    assert set(RUNBOOKS.values()) <= set(runbooks().texts)
    mishap = Mishap(START, "the token has expired", "write a new one")
    tree = seen(stream(state="parked", mishap=mishap))
    assert tree.all(tag="a", href="runbooks/OrchbridgeStreamParked")


def test_without_scripts_it_reloads_itself() -> None:
    assert re.search(r'<noscript><meta http-equiv="refresh" content="5"></noscript>', page(everything(), ()))


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("number", [0, 1], ids=["light", "dark"])
def test_everything_can_be_read_in_both_schemes(number: int) -> None:
    sheets = re.findall(r":root\{([^}]*)\}", STYLE)
    colours = dict(re.findall(r"--([a-z]+):(#[0-9a-f]{6})", sheets[number]))
    assert colours == (LIGHT, DARK)[number]
    poor = {pair: round(ratio, 2) for pair in TEXT_ON if (ratio := contrast(*(colours[name] for name in pair))) < 4.5}
    poor |= {pair: round(ratio, 2) for pair in PARTS_ON if (ratio := contrast(*(colours[name] for name in pair))) < 3.0}
    assert poor == {}
    assert set(re.findall(r"var\(--([a-z]+)\)", STYLE)) <= colours.keys()


HOSTILE = st.text(max_size=60) | st.sampled_from(
    [
        "</script><script>alert(1)</script>",
        "\"'><img src=x onerror=alert(1)>",
        "\u202egpj.exe",
        "a\x00b\ud800c",
        "&lt;&#60;",
    ]
)


@settings(max_examples=60)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_whatever_is_sent_stays_text(one: str, two: str, three: str) -> None:
    told = everything()
    plain = [(tag, sorted(attributes)) for tag, attributes, _ in Tree(page(told, ("reason",))).found]
    hostile = job(8, name=one, state=two, environment=three, description=one + two, url=three, created=one, type=two)
    ended = job(7, name=two, state=one or "x", nodes={three: 2}, finished=two, complete=True, url=one)
    error = ErrorGroup(one, two, 5, (three,))
    failure = FailedJob("prod", 5, "job", one, two, three, two, one, START, {"failed": 5}, (error,))
    moves = Moves((Change(one, "connected", two, START, three),))
    streams = (
        stream(view=StreamView(cursor=one, running=(hostile,), recent=(ended,)), failures=(failure,), owner=two,
               mishap=Mishap(START, one, two)),
        stream("inventory", view=StreamView(nodes_connected=5, nodes_by_broker={one: 5}), moves=moves),
    )  # fmt: skip
    source = SourceStatus(one, two, True, streams=streams)
    markup = page(replace(told, sources=(source,), worker=three, group=GroupStatus(one, (two, three), START)), (two,))
    markup.encode()
    tree = Tree(markup)
    assert {tag for tag, _, _ in tree.found} <= {tag for tag, _ in plain} | {"p", "small", "a"}
    assert [tag for tag, _, _ in tree.found].count("script") == 1
    for tag, attributes, _ in tree.found:
        assert not [name for name in attributes if name.startswith("on") or name in {"style", "src"}], tag
        assert not re.match(r"(?!https?:)[^/?#]*:", attributes.get("href") or "")


async def test_the_json_tells_the_same_as_the_page_and_as_its_documentation() -> None:
    transport = httpx.ASGITransport(application(everything, Metrics()))
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
        told = (await client.get("/status.json")).json()
    (error,) = told["errors"]
    assert (error["nodes"], error["message"], len(error["jobs"])) == (1_800, "The task errored with a code 2", 2)
    streams = {each["kind"]: each for each in told["sources"][0]["streams"]}
    assert [each["id"] for each in streams["jobs"]["view"]["running"]] == [8, 9]
    assert [each["id"] for each in streams["jobs"]["failures"]] == [5, 4]
    assert streams["inventory"]["view"]["nodes_by_broker"] == {"b1": 97, "": 1}
    assert streams["inventory"]["moves"]["newest"][0]["certname"] == "db01"
    tables = [line.split("|")[1:3] for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    named = {name for cells in tables for cell in cells for name in re.findall(r"`([a-z_]+)[`\[]", cell)}
    assert named - set(_keys(told)) == set()


def _keys(told: Any) -> Iterator[str]:
    if isinstance(told, dict):
        for name, inner in told.items():
            yield name
            yield from _keys(inner)
    elif isinstance(told, list):
        for inner in told:
            yield from _keys(inner)


def test_code_is_refused_by_construction() -> None:
    for attributes in ({"onclick": "x"}, {"style": "x"}, {"href": "javascript:x"}, {"src": "data:x"}):
        with pytest.raises(ValueError, match=r"code|leads nowhere"):
            el("a", "x", **attributes)
    assert el("p", "<b>", el("i", "&")) == "<p>&lt;b&gt;<i>&amp;</i></p>"
    assert isinstance(el("p"), Html)


def test_a_large_estate_makes_a_small_page_quickly() -> None:
    jobs = tuple(job(n, description="x" * 300, targets=1_000) for n in range(100))
    failures = tuple(broken(n, message=f"{n:x} {'y' * 290}") for n in range(20))
    brokers = {f"pcp://compiler{n}.example.com/server": 1_000 for n in range(100)}
    moves = Moves(tuple(Change(f"node{n}.example.com", "connected", CREATED, START, "b") for n in range(50)), {})
    told = status(
        stream(view=StreamView(running=jobs, jobs_by_state={"running": 200}), failures=failures),
        stream("inventory", view=StreamView(nodes_connected=100_000, nodes_by_broker=brokers), moves=moves),
    )
    markup = page(told, ())
    assert len(markup.encode()) < 120_000
    times_s = []
    for _ in range(5):
        begun = time.perf_counter()
        page(told, ())
        times_s.append(time.perf_counter() - begun)
    assert min(times_s) < 0.05, times_s
