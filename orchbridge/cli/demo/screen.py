"""The live table: readable on 80 columns, without colours, on dark and on light."""

from __future__ import annotations

from rich.console import Group, JustifyMethod, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from orchbridge.cli.demo.lines import shown
from orchbridge.cli.demo.scene import Scene, views
from orchbridge.core.view import RecentJob
from orchbridge.ops.status import LIVE, PARKED, RESTING, STUMBLING, Status, StreamStatus

JOBS_MAX = 10
OTHER_LINES = 18  # of the picture, all but the jobs
BAR = 10
STATES = {  # of nodes: the glyph says it, the colour repeats it
    "finished": ("█", "green"),
    "failed": ("▓", "red"),
    "errored": ("▓", "red"),
    "skipped": ("░", "yellow"),
    "stopped": ("░", "yellow"),
    "running": ("▒", "cyan"),
}
WAITING = ("·", "dim")
WORDS = {LIVE: "green", STUMBLING: "yellow", PARKED: "red", "finished": "green", "failed": "red", "stopped": "yellow"}
BREAKING = '{"faults":"503,p=0.3"}'
STEPS = " ▁▂▃▄▅▆▇█"


def draw(scene: Scene, height: int) -> RenderableType:
    """Return the picture of this moment for a terminal of so many lines."""
    status = scene.running.status()
    rows = max(1, min(JOBS_MAX, height - OTHER_LINES))
    return Group(
        _head(scene, status),
        Text(),
        _streams(status),
        _mishap(status),
        _pulse(scene, status),
        Text(),
        _jobs(views(status)["jobs"].recent[:rows]),
        Text(),
        _foot(scene),
    )


def _head(scene: Scene, status: Status) -> Text:
    up = {None: ("starting", "dim"), True: ("up", "green"), False: ("down", "red")}[status.sources[0].up]
    if scene.ending.asked:
        up = ("finishing", "yellow")
    return Text.assemble(
        ("orchbridge demo", "bold"), "  ", up, "  ", scene.elapsed(), ("   source ", "dim"), scene.simulator
    )


def _streams(status: Status) -> Table:
    table = _table(("stream", 10), ("state", 10), ("cursor", 18), ("lag", -6), ("records", -9), ("last error", 12))
    for source in status.sources:
        for stream in source.streams:
            if stream.state not in RESTING:  # of the backfills, only while they have something to show
                table.add_row(*_stream(stream, status.now))
    return table


def _stream(stream: StreamStatus, now: float) -> tuple[RenderableType, ...]:
    lag = stream.lapsed_s(now)
    told = stream.mishap
    return (
        stream.kind,
        Text(stream.state, WORDS.get(stream.state, "")),
        Text(stream.view.cursor),
        "" if lag is None else f"{lag:.1f} s",
        f"{stream.records:,}",
        Text("none", "dim") if told is None else Text(f"{now - told.at:.0f} s ago", "yellow"),
    )


def _mishap(status: Status) -> Text:
    """Return the newest error in a line; an empty one where there is none, so that nothing jumps."""
    told = [
        (stream.mishap.at, f"{stream.kind}: {stream.mishap.message}")
        for source in status.sources
        for stream in source.streams
        if stream.mishap is not None
    ]
    return Text(max(told, default=(0.0, ""))[1], "yellow", no_wrap=True, overflow="ellipsis")


def _pulse(scene: Scene, status: Status) -> Text:
    view = views(status)
    nodes = view["inventory"]
    counts = scene.tally.by_second()
    high = max(*counts, 1)
    line = "".join(STEPS[-(-count * (len(STEPS) - 1) // high)] for count in counts)
    plans = sum(view["plans"].jobs_by_state.values())
    return Text.assemble(
        ("events a second ", "dim"), f"{scene.tally.rate():5.1f}  ", (line, "cyan"), "\n",
        ("nodes ", "dim"), f"{nodes.nodes_connected} connected, {nodes.nodes_disconnected} not   ",
        ("jobs ", "dim"), f"{len(scene.tally.jobs)}, {len(scene.tally.ended)} finished   ",
        ("plans ", "dim"), f"{view['plans'].tracked}, {plans} running",
    )  # fmt: skip


def _jobs(jobs: tuple[RecentJob, ...]) -> Table:
    bar = BAR + len(" 40/40")
    table = _table(("job", -5), ("what", 17), ("environment", 11), ("state", 8), ("nodes", bar), ("certificate", 11))
    for job in jobs:
        certificate = {None: Text(), True: Text("complete", "green"), False: Text("INCOMPLETE", "bold red")}
        table.add_row(
            str(job.id),
            Text(job.name),
            Text(job.environment or ""),
            Text(job.state, WORDS.get(job.state, "")),
            _bar(job.nodes),
            certificate[job.complete],
        )
    return table


def _bar(nodes: dict[str, int]) -> Text:
    """Return one glyph for each node where there is room, else shares; then how many ended of how many."""
    total = sum(nodes.values())
    bar, drawn, upto = Text(), 0, 0
    waiting = {state: count for state, count in nodes.items() if state not in STATES}
    for state in (*STATES, *waiting):
        upto += nodes.get(state, 0)
        end = upto if total <= BAR else round(upto * BAR / total)
        glyph, style = STATES.get(state, WAITING)
        bar.append(glyph * (end - drawn), style)
        drawn = end
    bar.pad_right(BAR - drawn)
    over = total - sum(waiting.values()) - nodes.get("running", 0)
    return bar.append(f" {over}/{total}") if total else bar


def _foot(scene: Scene) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    log = scene.log()
    table.add_row("records", escape(f"{scene.data}/*.jsonl") + (f"   warnings {escape(str(log))}" if log else ""))
    table.add_row("look", escape(shown(scene.data)))
    table.add_row("pages", f"{scene.running.address}  {scene.running.address}metrics")
    table.add_row("break it", escape(f"curl -k {scene.simulator}/sim/knobs -d '{BREAKING}'"))
    table.add_row("stop", "Ctrl-C")
    return table


def _table(*columns: tuple[str, int]) -> Table:
    """Return a table of these columns; a negative width is to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name, width in columns:
        justify: JustifyMethod = "right" if width < 0 else "left"
        table.add_column(name, width=abs(width), justify=justify, no_wrap=True, overflow="ellipsis")
    return table
