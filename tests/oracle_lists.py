"""The judge of what has no events: the activity log and scheduled jobs, against the simulator's truth."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle import Seen, Verdict

Facts = Sequence[Mapping[str, Any]]
ENDS = {"disabled", "removed"}


@dataclass
class Deed:
    """One commit of the truth, and what a consumer can tell it by: there may be several alike."""

    at: float
    looks: tuple[str, str, str]  # when, who, on what
    gone: bool = False  # purged, or taken back: whoever did not look in time cannot know of it


def judge_activity(
    truth: Facts, seen: Iterable[Seen], *, services: Collection[str], until: float | None = None, whole: bool = False
) -> Verdict:
    """Return what is wrong about activity: commits that are missing, told twice or invented, or out of order.

    Only commits at or before `until` have to be there, and none that was purged or taken back. They are in order within
    their key; with `whole` the records of a service are in one order, as they are in a file.
    """
    written = _written(truth)
    wrong = Verdict()
    told: dict[str, list[Seen]] = defaultdict(list)
    for record in seen:
        if record.type.endswith("audit.activity.v1") and record.data is not None:
            told[record.data["service"]].append(record)
    wrong.invented += [f"activity of {service} was not asked for" for service in told.keys() - services]
    for service in services:
        deeds = written[service]
        places: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for place, deed in reversed(list(enumerate(deeds))):
            places[deed.looks].append(place)
        last: dict[str, int] = defaultdict(lambda: -1)
        found = Counter[tuple[str, str, str]]()
        for record in told[service]:
            looks = _looks(record)
            if not places[looks]:
                again = any(looks == deed.looks for deed in deeds)
                (wrong.twice if again else wrong.invented).append(f"{record.id} {looks}")
                continue
            place = places[looks].pop()
            found[looks] += 1
            where = service if whole else record.key
            if place < last[where] and not (record.data or {}).get("late"):
                wrong.disordered.append(f"{record.id} {looks}")
            last[where] = max(last[where], place)
        due = Counter(deed.looks for deed in deeds if not deed.gone and (until is None or deed.at <= until))
        wrong.missing += [f"{service} {looks}" for looks in (due - found).elements()]
    return wrong


def _written(truth: Facts) -> dict[str, list[Deed]]:
    """Return the commits of each service, in the order of the list."""
    written: dict[str, list[Deed]] = defaultdict(list)
    there: list[Deed] = []
    for fact in truth:
        match fact["fact"]:
            case "activity":
                about = fact["object"].partition("/")[2]
                there.append(Deed(fact["at"], (fact["time"], fact["subject"], about)))
                written[fact["service"]].append(there[-1])
            case "activity_purged" | "activity_rewound" as how:
                count = fact["commits"]
                for deed in there[:count] if how == "activity_purged" else there[-count:]:
                    deed.gone = True
                there = there[count:] if how == "activity_purged" else there[:-count]
    return written


def _looks(record: Seen) -> tuple[str, str, str]:
    data = record.data or {}
    objects = data["objects"] or [{"id": ""}]
    return data["pe"]["timestamp"], data["subject"]["name"], objects[0]["id"]


@dataclass
class Plan:
    """What befell one scheduled job."""

    versions: list[tuple[str, str]] = field(default_factory=list)  # environment and description
    begun: list[float] = field(default_factory=list)  # since when each version holds
    ended: float | None = None
    runs: list[tuple[float, str, str | None]] = field(default_factory=list)  # when, as PE tells it, and its error
    skipped: list[tuple[float, str]] = field(default_factory=list)  # likewise, of runs that did not happen

    @property
    def over(self) -> bool:
        """Whether its time came, whatever came of it."""
        return bool(self.runs or self.skipped)

    def version(self, until: float | None) -> int:
        """Return which version holds at a time, -1 where there is none yet."""
        return sum(until is None or at <= until for at in self.begun) - 1


def judge_schedules(
    truth: Facts, seen: Iterable[Seen], *, until: float | None = None, patient: bool = True, old: bool = False
) -> Verdict:
    """Return what is wrong about scheduled jobs: what is missing, told twice, invented, or has another reason.

    Only what happened at or before `until` has to be there. Somebody who did not look for a while cannot know
    of changes, and of runs, that others followed: with `patient` they have to be told all the same. The `old`
    API tells of no run, and a schedule without a next one is not in its list any more, seen or not.
    """
    plans = _plans(truth)
    said: dict[int, list[Seen]] = defaultdict(list)
    for record in seen:
        if ":schedule/" in record.id and record.data is not None:
            said[record.data["schedule"]["id"]].append(record)
    wrong = Verdict(invented=[f"schedule {id_} never was" for id_ in said.keys() - plans.keys()])
    for id_, plan in plans.items():
        found = Verdict()
        _revisions(found, plan, said[id_], until, patient=patient, old=old)
        _misses(found, plan, said[id_], until, patient=patient, old=old)
        for name, words in vars(found).items():
            if isinstance(words, list):
                getattr(wrong, name).extend(f"schedule {id_} {word}" for word in words)
    return wrong


def _plans(truth: Facts) -> dict[int, Plan]:
    plans: dict[int, Plan] = defaultdict(Plan)
    for fact in truth:
        if fact["fact"] == "schedule" and fact["change"] == "disabled":
            plans[fact["id"]].ended = fact["at"]
        elif fact["fact"] == "schedule":
            plans[fact["id"]].versions.append((fact["environment"], fact["description"]))
            plans[fact["id"]].begun.append(fact["at"])
        elif fact["fact"] == "schedule_run":
            plans[fact["schedule"]].runs.append((fact["at"], fact["time"], fact["error"]))
        elif fact["fact"] == "schedule_skipped":
            plans[fact["schedule"]].skipped.append((fact["at"], fact["time"]))
    return plans


def _revisions(
    wrong: Verdict, plan: Plan, records: list[Seen], until: float | None, *, patient: bool, old: bool
) -> None:
    words = [(_word(record), record) for record in records if _word(record) != "run.missed"]
    place = -1
    for number, (word, record) in enumerate(words):
        about = (record.data or {})["schedule"]
        looks = (about["environment"], about["description"] or "")
        if word in ENDS:
            over = plan.ended is not None or (old and plan.over)
            if not over or number != len(words) - 1:
                wrong.untrue.append(f"was not {word}")
            elif (reason := (record.data or {})["reason"]) not in _reasons(plan, old=old):
                wrong.untrue.append(f"is not {word} as {reason}")
            continue
        if (word == "created") != (number == 0):
            wrong.untrue.append(f"is {word} as number {number} of {[word for word, _ in words]}")
        steps = [at for at, version in enumerate(plan.versions) if at > place and version == looks]
        if not steps or (patient and steps[0] != place + 1):
            wrong.untrue.append(f"is {word} to {looks}, out of {plan.versions} from {place}")
        place = steps[0] if steps else place
    ended = plan.ended is not None and (until is None or plan.ended <= until)
    if ended and words and words[-1][0] not in ENDS:
        wrong.missing.append("was disabled, untold")
    expected = plan.version(until)
    gone = plan.ended is not None or (old and plan.over)
    if expected > place and ((patient and not old) or not gone):
        wrong.missing.append(f"is told up to version {place}, not {expected}")


def _reasons(plan: Plan, *, old: bool) -> set[str]:
    """Return why a schedule may be said to have ended."""
    over = {"over"} if plan.over else set[str]()
    return over if plan.ended is None else over | ({"deleted"} if old else {"vanished", "switched_off"})


def _misses(wrong: Verdict, plan: Plan, records: list[Seen], until: float | None, *, patient: bool, old: bool) -> None:
    due = [(at, time, "submission_error") for at, time, error in plan.runs if error is not None]
    due += [(at, time, "no_run") for at, time in plan.skipped]
    missed = [((record.data or {})["planned_at"], (record.data or {})["reason"]) for record in records
              if _word(record) == "run.missed"]  # fmt: skip
    told = Counter(missed)
    wrong.invented += [f"missed no run at {time}, {why}" for time, why in told - Counter(each[1:] for each in due)]
    last = max([(at, time) for at, time, *_ in (*plan.runs, *plan.skipped)], default=(0.0, ""))[1]
    shown = {(record.data or {}).get("next_run") for record in records}  # nobody misses what was never seen planned
    for at, time, why in due:
        wanted = not old and (until is None or at <= until)
        seen = time == last and plan.ended is None and (why == "submission_error" or time in shown)
        if wanted and (patient or seen) and not told[time, why]:
            wrong.missing.append(f"has not run at {time}, {why}, untold")


def _word(record: Seen) -> str:
    """Return `created`, `changed`, `disabled`, `removed` or `run.missed`."""
    return record.type.partition("schedule.")[2].removesuffix(".v1")
