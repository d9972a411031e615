"""The truth log: every fact of the world, once, as it happens, before any fault or delay: the oracle of tests.

One JSON object a line, in the order of time. Each has `fact` (its kind), `at` (seconds since
the world's start, negative for its past) and `time` (the same as PE prints it), but for the
first line, which has neither:

    {"fact":"world","scenario":"demo","seed":1,"start":"2025-03-09T10:15:40.000Z"}
    {"fact":"job","id":420,"type":"deploy","plan":null,"task":null,"environment":"production",
     "owner":"ops","nodes":["a.test"],...}                  `plan`: the plan job that started it
    {"fact":"job_state","job":420,"state":"running","node_states":{"new":1},...}
    {"fact":"job_event","job":420,"id":9301,"type":"node_running","node":"a.test",...}
    {"fact":"plan","id":82,"name":"rollout::web","owner":"ops",...}
    {"fact":"plan_state","plan":82,"state":"success",...}
    {"fact":"plan_event","plan":82,"id":501,"type":"out_message","job":null,"message_bytes":37,...}
                                                            `job`: the child job it announces
    {"fact":"node","node":"a.test","change":"connected","broker":"pcp://...","timestamp":"...",...}
                       `change`: connected, disconnected, reconnected; `timestamp`: of the session
    {"fact":"schedule","id":31,"change":"created","type":"plan","owner":"ops","environment":"production",
     "description":"weekly","next_run":"...",...}
                               `change`: created, changed, disabled; `next_run` null where none will come
    {"fact":"schedule_run","schedule":31,"started_job":null,"started_plan":82,"error":null,...}
                       what it was due for; `error`: the kind of refusal where nothing was started
    {"fact":"activity","id":7,"service":"pe-console","subject":"ops","object":"job/420","type":"run_task",...}
                       one commit; `id` counts all ever written, which the API never shows
    {"fact":"activity_purged","commits":4,...}              so many of the oldest are gone
    {"fact":"activity_rewound","commits":2,...}             so many of the newest never were
    {"fact":"environment","name":"staging","present":false,...}
    {"fact":"pruned","jobs":[420],"plans":[82],...}
    {"fact":"skipped","jobs":[421,422],...}                 ids that no job ever has
    {"fact":"crashed","seconds":5,...}                      what ran is not looked after any more
    {"fact":"restored","to_job":419,"jobs":[420],"plans":[82],...}
                          ids above `to_job` never were; later facts use them again for others

A world that goes on from a state file tells its whole story anew, into a new file.

A job's `node` is null in events that concern the whole job. It holds no parameters and no
results, so none of the planted secrets.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import msgspec

from orchbridge.sim.course import Fact


class TruthLog:
    """Writes facts to a new file; what was handed over is in the file when `write` returns."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = self.path.open("wb")
        self._encoder = msgspec.json.Encoder()

    def write(self, facts: Iterable[Fact]) -> None:
        """Append facts and flush."""
        self._file.write(self._encoder.encode_lines(list(facts)))
        self._file.flush()

    def close(self) -> None:
        """Close the file; nothing is pending."""
        self._file.close()

    def __enter__(self) -> TruthLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
