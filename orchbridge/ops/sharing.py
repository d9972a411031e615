"""What the workers' group says, as status, metrics and log lines."""

from __future__ import annotations

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from orchbridge.core.ports import Share, StreamId
from orchbridge.ops.metrics import Metrics
from orchbridge.ops.repeats import Repeats
from orchbridge.ops.status import GroupStatus, Mishap

REBALANCES, MEMBER, WORKERS = "orchbridge_group_rebalances_total", "orchbridge_group_member", "orchbridge_group_workers"


class Sharing:
    """Keeps the newest share. Where the sink is one worker's alone there is no group to speak of."""

    def __init__(
        self, metrics: Metrics, clock: Callable[[], float], log: FilteringBoundLogger, repeats: Repeats
    ) -> None:
        self._metrics, self._clock, self._log, self._repeats = metrics, clock, log, repeats
        self._share: Share | None = None
        self.status: GroupStatus | None = None
        metrics.add(REBALANCES, by=0)

    def owner(self, stream: StreamId) -> str | None:
        """Return the worker that carries the stream, as far as the group said."""
        return None if self._share is None else self._share.owners.get(stream.name)

    def told(self, share: Share) -> None:
        """Take in a decision of the group, or why we are outside it."""
        if not share.group:
            return
        before, now = self.status, self._clock()
        first, self._share = self._share is None, share
        if share.apart is not None:
            since = before.since if before is not None and before.trouble is not None else now
            self.status = GroupStatus(
                share.group, share.members, since, Mishap(now, str(share.apart), share.apart.hint)
            )
            self._metrics.set(MEMBER, to=0)
            more = self._repeats.say(("group", "apart", str(share.apart)), now)
            if first:
                self._log.info("group.joining", group=share.group)
            elif more is not None:
                self._log.warning(
                    "group.lost", group=share.group, error=str(share.apart), hint=share.apart.hint, unsaid=more
                )
            return
        self._repeats.over(("group", "apart"))
        self.status = GroupStatus(share.group, share.members, now)
        self._metrics.add(REBALANCES)
        self._metrics.set(MEMBER, to=1)
        self._metrics.set(WORKERS, to=len(share.members))
        joined = before is None or before.trouble is not None
        self._log.info(
            "group.joined" if joined else "group.rebalanced",
            group=share.group,
            workers=len(share.members),
            streams=sorted(stream.name for stream in share.owned),
            of=len(share.owners),
        )
