"""The courses: what kind of stage, which faults, how often. With a seed a course is the same again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.chaos.cluster_faults import CLUSTER
from tests.chaos.faults import BRIDGE, BROKER, COMMIT, WIRE, Fault
from tests.chaos.list_faults import LISTS
from tests.chaos.source_faults import KNOBS, LEVERS, RESTORE
from tests.chaos.stage import Setting

LIVELY = "demo:nodes=40,shortest=0.3,longest=1.5"


@dataclass(frozen=True)
class Hand:
    """Does one fault after the other, with pauses between; of every house where `each`, so that several go on at once.

    What one hand does never overlaps: so two hands must not take the same thing into them.
    """

    faults: tuple[Fault, ...]
    pause_s: tuple[float, float]
    each: bool = False


@dataclass(frozen=True)
class Course:
    """`seconds` is for how long faults are begun, if nothing else is asked for; settling comes after it."""

    name: str
    told: str
    setting: Setting
    hands: tuple[Hand, ...]
    seconds: float


def _some(faults: Mapping[str, Fault], *names: str) -> tuple[Fault, ...]:
    return tuple(faults[name] for name in names)


_KAFKA = (*WIRE["kafka"].values(), *COMMIT.values(), *COMMIT.values())
_SOURCE = (*KNOBS.values(), *(2 * tuple(LEVERS.values())))
_UNWELL = _some(KNOBS, "pe-resets", "pe-torn", "pe-5xx", "pe-429", "pe-html", "pe-latency", "pe-auth-layer-401")
_RUSH = "rush:jobs=420,rate=5.5"

_ALL = (
    Course(
        "kills", "one bridge a house, killed again and again",
        Setting(LIVELY, houses=6), (Hand(_some(BRIDGE, "kill"), (0.2, 2.0), each=True),), 60.0,
    ),
    Course(
        "brokers", "the broker killed, restarted, frozen",
        Setting(LIVELY, houses=2),
        (Hand((*_some(BROKER, "broker-kill") * 3, *BROKER.values()), (1.0, 4.0)),), 90.0,
    ),
    Course(
        "cuts", "connections on both sides, in every way they can go wrong",
        Setting(LIVELY, houses=2),
        (Hand(_KAFKA, (0.5, 2.5)), Hand(tuple(WIRE["source"].values()), (0.5, 3.0))), 90.0,
    ),
    Course(
        "freezes", "bridges frozen beyond the transaction timeout, alone and with another one to take over",
        Setting(LIVELY, houses=4, workers=2),
        (Hand((*_some(BRIDGE, "freeze") * 3, *_some(BRIDGE, "nap")), (0.5, 3.0), each=True),), 90.0,
    ),
    Course(
        "workers", "three workers a house, killed, frozen, ended and added",
        Setting(LIVELY, houses=2, workers=3),
        (Hand((*BRIDGE.values(), *_some(BRIDGE, "kill", "kill")), (0.5, 3.0), each=True),), 90.0,
    ),
    Course(
        "source", "everything a source can do wrong",
        Setting(LIVELY, houses=1),
        (Hand(_SOURCE, (0.3, 2.0)), Hand(tuple(RESTORE.values()), (40.0, 60.0))), 120.0,
    ),
    Course(
        "lists", "activity and scheduled jobs, which have no events: purged, planned, refused; the bridge killed",
        Setting(LIVELY, houses=1, lists=True),
        (
            Hand((*LISTS.values(), *_some(LISTS, "pe-edit", "pe-purge", "pe-plan", "pe-change"), *_UNWELL), (0.2, 1.0)),
            Hand(_some(BRIDGE, "kill", "kill", "kill", "end", "nap"), (0.5, 3.0), each=True),
            Hand(_some(WIRE["source"], "source-cut", "source-tear", "source-swallow"), (1.0, 6.0)),
            Hand(tuple(RESTORE.values()), (15.0, 25.0)),
        ), 60.0,
    ),
    Course(
        "mixed", "everything at once, while more than 50,000 events happen",
        Setting(_RUSH, houses=1, workers=2, poll_s=1.0),
        (
            Hand((*_some(BRIDGE, "kill", "kill", "nap", "end", "freeze"),), (3.0, 9.0), each=True),
            Hand(_some(BROKER, "broker-kill", "broker-stop", "broker-freeze"), (10.0, 25.0)),
            Hand(_KAFKA, (3.0, 9.0)),
            Hand(tuple(WIRE["source"].values()), (3.0, 9.0)),
            Hand(_SOURCE, (3.0, 9.0)),
            Hand(tuple(RESTORE.values()), (30.0, 70.0)),
        ), 80.0,
    ),
    Course(
        "cluster", "three brokers, every record on all of them; leaders and coordinators killed in turn",
        Setting(LIVELY, houses=2, brokers=3),
        (Hand(tuple(CLUSTER.values()), (0.5, 3.0)), Hand(_some(COMMIT, "commit-answer-lost"), (4.0, 10.0))), 90.0,
    ),
)  # fmt: skip
COURSES: Mapping[str, Course] = {course.name: course for course in _ALL}
