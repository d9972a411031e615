"""The faults, by name: what is done, drawn from the run's own chance, and put right again before it returns."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random

from tests.chaos.house import House, Worker
from tests.chaos.proxy import Connection, Proxy
from tests.chaos.stage import Stage

CLAIM_S = 60.0  # a claim may have to wait for a dead owner's session and its open transaction

Act = Callable[[Stage, House, Random], Awaitable[bool | None]]  # False: there was no occasion


@dataclass(frozen=True)
class Fault:
    """`told` says in the table what was done; `act` does it, begins with its draws and undoes it."""

    name: str
    told: str
    act: Act


# Bridges


async def kill(stage: Stage, house: House, chance: Random) -> None:
    """SIGKILL, most often while it carries streams, sometimes while it starts; then a new life."""
    worker, early, moment = chance.choice(house.workers), chance.random() < 0.25, chance.uniform(0.1, 1.5)
    killed = time.monotonic()
    streams = house.carried_by(worker)
    worker.kill()
    await _taken_over(stage, house, worker, streams, killed)
    worker.start()
    if early:
        await asyncio.sleep(moment)
    elif len(house.workers) == 1 and (took := await house.claimed(house.streams, killed, CLAIM_S)) is not None:
        stage.times["restart"].append(took)


async def end(stage: Stage, house: House, chance: Random) -> None:
    """SIGTERM: the batch is finished, the streams are let go; then a new life."""
    worker = chance.choice(house.workers)
    ended, streams = time.monotonic(), house.carried_by(worker)
    stage.complain(await worker.end())
    await _taken_over(stage, house, worker, streams, ended, "handover")
    worker.start()


async def freeze(stage: Stage, house: House, chance: Random) -> None:
    """SIGSTOP for longer than a transaction may take, then SIGCONT."""
    await _frozen(stage, house, chance.choice(house.workers), chance.uniform(16.0, 22.0))


async def nap(stage: Stage, house: House, chance: Random) -> None:
    """SIGSTOP for less than that."""
    await _frozen(stage, house, chance.choice(house.workers), chance.uniform(1.0, 9.0))


async def _frozen(stage: Stage, house: House, worker: Worker, seconds: float) -> None:
    if not worker.alive:
        return
    frozen, streams = time.monotonic(), house.carried_by(worker)
    worker.freeze()
    if seconds > 10.0:
        await _taken_over(stage, house, worker, streams, frozen, "takeover-frozen", seconds)
    await asyncio.sleep(max(0.0, frozen + seconds - time.monotonic()))
    worker.thaw()


async def _taken_over(
    stage: Stage, house: House, worker: Worker, streams: set[str], since: float, what: str = "takeover",
    limit_s: float = CLAIM_S,
) -> None:  # fmt: skip
    """Where others are there, wait until they carry the streams, and note how long that took."""
    if len(house.workers) > 1 and streams:
        took = await house.claimed(streams, since, limit_s)
        if took is not None:
            stage.times[what].append(took)
        elif limit_s == CLAIM_S:
            stage.complaints.append(f"{house.name}: {sorted(streams)} were not taken over within {limit_s:.0f} s")


# Brokers


async def broker_kill(stage: Stage, house: House, chance: Random) -> None:
    """SIGKILL, some time away, started again on its data."""
    broker, away = chance.choice(stage.brokers), chance.choice((0.0, chance.uniform(0.5, 4.0)))
    await asyncio.to_thread(broker.kill)
    await asyncio.sleep(away)
    await asyncio.to_thread(broker.start)


async def broker_stop(stage: Stage, house: House, chance: Random) -> None:
    """SIGTERM, an orderly restart."""
    broker = chance.choice(stage.brokers)
    await asyncio.to_thread(broker.stop)
    await asyncio.to_thread(broker.start)


async def broker_freeze(stage: Stage, house: House, chance: Random) -> None:
    """SIGSTOP: connections stay, nothing answers."""
    broker, seconds = chance.choice(stage.brokers), chance.uniform(1.0, 14.0)
    broker.freeze()
    await asyncio.sleep(seconds)
    broker.thaw()


# Connections, to Kafka and to the source


def _wires(of: str, stage: Stage) -> tuple[Proxy, ...]:
    return stage.kafka if of == "kafka" else (stage.source,)


def cut(of: str) -> Act:
    async def act(stage: Stage, house: House, chance: Random) -> None:
        times, pause = chance.choice((1, 1, 3)), chance.uniform(0.05, 0.6)
        for _ in range(times):
            for proxy in _wires(of, stage):
                proxy.cut()
            await asyncio.sleep(pause)

    return act


def stall(of: str) -> Act:
    async def act(stage: Stage, house: House, chance: Random) -> None:
        seconds = chance.choice((chance.uniform(0.3, 3.0), chance.uniform(3.0, 14.0)))
        for proxy in _wires(of, stage):
            proxy.stall()
        await asyncio.sleep(seconds)
        _calm(of, stage)

    return act


def slow(of: str) -> Act:
    async def act(stage: Stage, house: House, chance: Random) -> None:
        rate, seconds = chance.uniform(4_000, 40_000), chance.uniform(2.0, 8.0)
        for proxy in _wires(of, stage):
            proxy.slow(rate)
        await asyncio.sleep(seconds)
        _calm(of, stage)

    return act


def swallow(of: str) -> Act:
    async def act(stage: Stage, house: House, chance: Random) -> None:
        seconds = chance.choice((chance.uniform(0.2, 2.0), chance.uniform(2.0, 12.0)))
        for proxy in _wires(of, stage):
            proxy.swallow()
        await asyncio.sleep(seconds)
        _calm(of, stage)

    return act


def tear(of: str) -> Act:
    async def act(stage: Stage, house: House, chance: Random) -> None:
        seconds = chance.uniform(0.3, 1.0)
        for proxy in _wires(of, stage):
            proxy.tear()
        await asyncio.sleep(seconds)
        _calm(of, stage)

    return act


def half_close(of: str) -> Act:
    async def act(stage: Stage, house: House, chance: Random) -> None:
        client, seconds = chance.random() < 0.5, chance.uniform(0.3, 3.0)
        for proxy in _wires(of, stage):
            proxy.half_close(client=client)
        await asyncio.sleep(seconds)

    return act


def refuse(of: str) -> Act:
    async def act(stage: Stage, house: House, chance: Random) -> None:
        seconds = chance.uniform(0.5, 6.0)
        for proxy in _wires(of, stage):
            await proxy.close()
        await asyncio.sleep(seconds)
        for proxy in _wires(of, stage):
            await proxy.open()

    return act


async def lose_commit(stage: Stage, house: House, chance: Random) -> bool:
    """The next commit is done and nobody hears of it: its connection is cut before the answer comes, or later."""
    cut_after = chance.choice((0.0, 0.3, 3.0, 12.0))
    done = await _at_next_commit(stage, lambda connection: setattr(connection, "deaf", True))
    if done is not None:
        await asyncio.sleep(cut_after)
        done.abort()
    return done is not None


async def stop_commit(stage: Stage, house: House, chance: Random) -> bool:
    """The next commit never reaches the broker: its connection is cut before."""
    return await _at_next_commit(stage, Connection.abort) is not None


async def _at_next_commit(stage: Stage, act: Callable[[Connection], None]) -> Connection | None:
    passed: asyncio.Queue[Connection] = asyncio.Queue()

    def hit(connection: Connection) -> None:
        for proxy in stage.kafka:
            proxy.at_next_commit(None)
        act(connection)
        passed.put_nowait(connection)

    for proxy in stage.kafka:
        proxy.at_next_commit(hit)
    try:
        return await asyncio.wait_for(passed.get(), 15.0)
    except TimeoutError:
        return None
    finally:
        for proxy in stage.kafka:
            proxy.at_next_commit(None)


def _calm(of: str, stage: Stage) -> None:
    for proxy in _wires(of, stage):
        proxy.calm()


def _all(*faults: Fault) -> Mapping[str, Fault]:
    return {fault.name: fault for fault in faults}


BRIDGE = _all(
    Fault("kill", "bridge killed (SIGKILL) and started again", kill),
    Fault("end", "bridge asked to end (SIGTERM) and started again", end),
    Fault("freeze", "bridge frozen beyond the transaction timeout (SIGSTOP, 16-22 s, SIGCONT)", freeze),
    Fault("nap", "bridge frozen for 1-9 s", nap),
)
BROKER = _all(
    Fault("broker-kill", "broker killed (SIGKILL) and started again", broker_kill),
    Fault("broker-stop", "broker restarted in order (SIGTERM)", broker_stop),
    Fault("broker-freeze", "broker frozen for 1-14 s", broker_freeze),
)
_SIDES = {"kafka": "Kafka", "source": "PE"}
WIRE = {
    of: _all(
        Fault(f"{of}-cut", f"connections to {side} reset", cut(of)),
        Fault(f"{of}-stall", f"connections to {side} stalled for up to 14 s", stall(of)),
        Fault(f"{of}-slow", f"connections to {side} slowed to 4-40 kB/s", slow(of)),
        Fault(f"{of}-swallow", f"requests to {side} arrive, answers are lost, for up to 12 s", swallow(of)),
        Fault(f"{of}-tear", f"an answer of {side} cut in its middle", tear(of)),
        Fault(f"{of}-half-close", f"connections to {side} closed in one direction", half_close(of)),
        Fault(f"{of}-refuse", f"connections to {side} refused for up to 6 s", refuse(of)),
    )
    for of, side in _SIDES.items()
}
COMMIT = _all(
    Fault("commit-answer-lost", "a commit is done, its answer is lost", lose_commit),
    Fault("commit-lost", "a commit is cut off before it reaches the broker", stop_commit),
)
