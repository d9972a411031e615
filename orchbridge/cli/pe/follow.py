"""A job to its end: events as they come, who still runs on a terminal, the outcome as exit code."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchbridge.cli.exits import CHECK_FAILED, DONE
from orchbridge.cli.pe import shapes
from orchbridge.cli.pe.jobs import nodes_of, outcome, tell_nodes, words
from orchbridge.cli.pe.session import till_pruned, watching
from orchbridge.cli.pe.telling import PLAIN, STYLES, Veil, json_line, short, states, took
from orchbridge.cli.pe.veils import Veils
from orchbridge.orchestrator import Client, errors
from orchbridge.orchestrator.api.following import Tempo
from orchbridge.orchestrator.models import Job, JobEvent

FRAME_S = 0.25
ROWS_MAX = 8
TEMPO = Tempo()
LOOKS = 3
T = TypeVar("T")


class Board:
    """What is known of a job's nodes while it runs."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.since: dict[str, float] = {}
        self.ended: dict[str, str] = {}
        self.width = 7  # of the column of nodes, which fits the longest so far

    def note(self, event: JobEvent) -> None:
        """Take an event in."""
        if event.node is None:
            return
        self.width = max(self.width, len(event.node))
        word = event.type.removeprefix("node_")
        if word == "running":
            self.since[event.node] = time.monotonic()
        else:
            self.since.pop(event.node, None)
            self.ended[event.node] = word

    def shown(self) -> Group:
        """Return the table under the events: how many are through, and the nodes that run now."""
        counts: dict[str, int] = {}
        for word in self.ended.values():
            counts[word] = counts.get(word, 0) + 1
        total = self.job.node_count or len(self.ended) + len(self.since)
        head = Text.assemble((f"job {self.job.id}", "bold"), f"  {len(self.ended)} of {total} nodes")
        head.append(f": {states(counts)}" if counts else "")
        rows = Table(box=None, pad_edge=False, show_header=False)
        now = time.monotonic()
        for node, since in list(self.since.items())[:ROWS_MAX]:
            rows.add_row(Text(node), Text("running", style="cyan"), Text(took(now - since)))
        more = len(self.since) - ROWS_MAX
        last = Text(f"and {more} more" if more > 0 else "Ctrl-C stops watching, not the job", "dim")
        return Group(head, rows, last) if self.since else Group(head, last)


async def follow_job(
    client: Client, number: int, *, nodes: bool, as_json: bool, veil: Veil = PLAIN, begun: bool = False
) -> int:
    """Print the events of a job until it ends; return 0 where it finished, else 3.

    `begun` is that we have just started it: then it goes on, even where it cannot be seen at first.
    """
    goes_on = (
        f"job {number} goes on; watch it again with `orchbridge pe job {number} --follow`,"
        f" stop it with `orchbridge pe stop {number}`"
    )
    first = None if begun else await client.jobs.get(number)
    with watching(goes_on, begun=begun):
        job = first if first is not None else await soon(lambda: client.jobs.get(number))
        board, veil = Board(job), await Veils(client).of(job, veil)
        with till_pruned(f"job {number}"):
            async with live(board.shown, as_json=as_json) as out:
                async for event in client.jobs.follow(number, TEMPO):
                    board.note(event)
                    if as_json:
                        json_line(shapes.event(event, number, veil))
                    else:
                        out(line(event, veil, board.width))
            job = await client.jobs.get(number)
            rows = await nodes_of(client, job) if nodes else []
    if as_json:
        told = shapes.job(job, veil)
        json_line({**told, "nodes": [shapes.node(row, number, veil) for row in rows]} if nodes else told)
    else:
        if nodes:
            print()
            tell_nodes(rows, veil)
            print()
        print(outcome(job))
    return DONE if job.state == "finished" else CHECK_FAILED


async def soon(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask for what was just made, which may take a moment to be visible."""
    for _ in range(LOOKS):
        with contextlib.suppress(errors.UnknownJob):
            return await ask()
        await asyncio.sleep(TEMPO.poll_s)
    return await ask()


def line(event: JobEvent, veil: Veil, width: int) -> Text:
    """Return an event on one line: when, on which node, what, and what there is to know."""
    at = event.at.strftime("%H:%M:%S") if event.at else "--:--:--"
    word, node = event.type.removeprefix("node_").removeprefix("job_"), event.node or "the job"
    result = words(event.detail, veil) if word in {"finished", "failed"} else ""
    text = short(result or veil.text(event.message), 300)
    return Text.assemble((at, "dim"), f"  {node:<{width}}  ", (f"{word:<8}", STYLES.get(word, "")), f"  {text}")


@contextlib.asynccontextmanager
async def live(shown: Callable[[], Group], *, as_json: bool) -> AsyncIterator[Callable[[Text], None]]:
    """Keep a table at the foot of a terminal while the block runs; yield how a line is printed above it."""
    console = Console(highlight=False)
    if as_json or not console.is_terminal or console.is_dumb_terminal:
        yield lambda text: print(text.plain, flush=True)
        return
    with Live(shown(), console=console, auto_refresh=False, transient=True) as foot:

        async def refresh() -> None:
            while True:
                await asyncio.sleep(FRAME_S)
                foot.update(shown(), refresh=True)

        task = asyncio.create_task(refresh())

        def above(text: Text) -> None:
            foot.update(shown())
            console.print(text, soft_wrap=True)

        try:
            yield above
        finally:
            task.cancel()
    sys.stdout.flush()
