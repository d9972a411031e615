"""The orchestrator client: every question gets an answer, failures included.

Only what a person must mend is raised, as Denied; and from then on nothing is asked until
the token or a certificate file changes, because a server may lock an account out.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from orchbridge.core.errors import ConfigError, Denied
from orchbridge.core.ports import Api
from orchbridge.core.questions import Answer, InventoryOf, Item, Page, Question, Trouble
from orchbridge.orchestrator.access import Access
from orchbridge.orchestrator.api.activity import ActivityLog
from orchbridge.orchestrator.api.commands import Commands
from orchbridge.orchestrator.api.inventory import Inventory
from orchbridge.orchestrator.api.jobs import Jobs
from orchbridge.orchestrator.api.library import Plans, Tasks
from orchbridge.orchestrator.api.plan_jobs import PlanJobs
from orchbridge.orchestrator.api.schedules import Schedules
from orchbridge.orchestrator.api.scopes import Scopes
from orchbridge.orchestrator.api.status import Status
from orchbridge.orchestrator.api.tokens import Tokens
from orchbridge.orchestrator.api.usage import Usage
from orchbridge.orchestrator.budget import Budget
from orchbridge.orchestrator.caller import Caller
from orchbridge.orchestrator.calls import read
from orchbridge.orchestrator.console import Console
from orchbridge.orchestrator.denials import Denials
from orchbridge.orchestrator.exchange import Asked, Exchange, unobserved
from orchbridge.orchestrator.failures import Denial
from orchbridge.orchestrator.models import Root
from orchbridge.orchestrator.pool import Pool
from orchbridge.orchestrator.reach import before_answer, transport_trouble
from orchbridge.orchestrator.requests import Params, Request, to_request
from orchbridge.orchestrator.share import Gate, Slots, Toll
from orchbridge.orchestrator.tokens import Token

RETRIES = 2
PAUSE_S = (0.1, 0.5)
NAMES_AT_ONCE = 1_000


class Client:
    """Answers questions from one orchestrator. Use it as an async context manager.

    Its namespaces ask every documented endpoint (`endpoints.py` lists them). They share its
    connections, places, token, budget, observer and denials, and raise `errors.ApiError`.

    jobs, plan_jobs    lists, details, nodes, events, and `follow`: events to the end
    commands           deploy, task, plan_run, stop, ...: sent once, looked for where the answer is lost
    tasks, plans       what there is to run, and with which parameters
    inventory          which nodes are connected
    schedules          scheduled jobs, of both APIs
    usage, scopes      usage by day; task targets
    status             how the services are
    tokens, activity   RBAC and the Activity service, at `rbac_url`
    """

    def __init__(self, access: Access, observe: Callable[[Asked], None] = unobserved) -> None:
        self._access = access
        self._token = Token(access.token_file, access.token)
        self._pool = Pool(access)
        self._exchange = Exchange(access, self._token, self._pool, observe)
        self._slots: Slots = asyncio.Semaphore(access.concurrency)
        # All shares together leave one place to the others, where there is more than one.
        self._spare = asyncio.Semaphore(max(1, access.concurrency - 1))
        self._denials = Denials(self._token, self._pool)
        self._plainness: dict[str, int] = {}
        self._console = Console(access, self._token, observe, self._exchange)
        here = Caller(access, self._token, self._denials, self._slots, lambda: self._exchange)
        there = Caller(access, self._token, self._denials, self._slots, self._console.exchange)
        self._here = here
        self.jobs, self.plan_jobs, self.commands = Jobs(here), PlanJobs(here), Commands(here)
        self.tasks, self.plans, self.inventory = Tasks(here), Plans(here), Inventory(here)
        self.schedules, self.usage, self.scopes = Schedules(here), Usage(here), Scopes(here)
        self.status = Status(here)
        self.tokens, self.activity = Tokens(there, self._token), ActivityLog(there)

    def __repr__(self) -> str:
        return f"Client({self._access.name!r}, {self._access.place!r})"

    @property
    def access(self) -> Access:
        """How it gets there."""
        return self._access

    async def __aenter__(self) -> Self:
        """Open the connection pool; raise ConfigError where address or certificate files cannot be used."""
        self._pool.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._console.close()
        await self._pool.close()

    async def root(self) -> Root:
        """Return the API's own index (orchestrator API, section 4). Raises ApiError, as all that follows does."""
        return Root.read(await self._here.told(read("")))

    def share(self, fraction: float) -> Api:
        """Return this client, asking through at most so much of its concurrency (but at least one) and its budget.

        Connections, token and denials are the same; whoever asks the client itself is never kept
        waiting for longer than one request of a share. `fraction` is above 0 and at most 1.
        """
        if not 0 < fraction <= 1:
            raise ValueError(f"a share of {fraction}")
        own = asyncio.Semaphore(max(1, int(fraction * self._access.concurrency)))
        budget = Budget(fraction * self._access.requests_per_s, burst=1.0)
        part = copy.copy(self)
        part._slots = Gate(own, budget, self._spare, self._slots)
        part._exchange = self._exchange.paying(Toll(budget, self._exchange.budget))
        return part

    def budget_left(self) -> float:
        """Return how many requests could be sent at once now."""
        return self._exchange.budget.left()

    @property
    def certificate_ends(self) -> float | None:
        """When the server's certificate ends, Unix seconds; None without TLS, and before the first answer."""
        return self._exchange.certificate.ends

    @property
    def token_generation(self) -> int:
        """A number that is another one for every new token in the file, which is read again where it has changed."""
        if not self.token_refused():  # which forgets what was denied to the one before
            self._token.read_if_changed()
        return self._token.generation

    def changed(self) -> bool:
        """Whether asking again may help: true as long as nothing is denied.

        Looks at the token and certificate files (a few stat calls), and forgets the denials
        when one of them differs from what was loaded.
        """
        return self._denials.lifted()

    def token_refused(self) -> bool:
        """Whether nothing at all is asked until a person has changed the token or a certificate file.

        A right that is missing in one place is not that: with `changed` false, the rest is asked all the same.
        """
        return self._denials.standing() is not None

    async def answer(self, question: Question) -> Answer:
        """Return the answer, Trouble included; raise Denied where only a person can help."""
        if isinstance(question, InventoryOf) and len(question.nodes) != 1:
            return await self._answer_about(question.nodes)
        return await self._answer_one(question)

    async def _answer_about(self, nodes: tuple[str, ...]) -> Answer:
        """Ask about many nodes in several requests: the server's limit is not documented."""
        items: list[Item] = []
        for start in range(0, len(nodes), NAMES_AT_ONCE):
            answer = await self._answer_one(InventoryOf(nodes[start : start + NAMES_AT_ONCE]))
            if not isinstance(answer, Page):
                return answer
            items.extend(answer.items)
        return Page(tuple(items), paged=False)

    async def _answer_one(self, question: Question) -> Answer:
        request = to_request(question)
        async with self._slots:
            self._refuse_denied(request)
            try:
                async with asyncio.timeout(self._access.total_s) as deadline:
                    outcome = await self._plain_enough(question, request, deadline)
            except TimeoutError as error:
                return transport_trouble(self._access, error)
        if isinstance(outcome, Denial):
            raise self._denials.add(outcome, request.place(part=outcome.part))
        return outcome

    def _refuse_denied(self, request: Request) -> None:
        """Ask nothing while a person has not changed anything."""
        known = self._denials.standing(request.place(part=False), request.place(part=True))
        if known:
            raise Denied(str(known), hint=known.hint, kind=known.kind)

    async def _plain_enough(self, question: Question, request: Request, deadline: asyncio.Timeout) -> Answer | Denial:
        """Leave parameters out, one kind after the other, for a server that refuses what it does not know."""
        level = min(self._plainness.get(request.endpoint, 0), len(request.params) - 1)
        while True:
            outcome = await self._authorised(question, request, request.params[level], deadline)
            refused = isinstance(outcome, Trouble) and outcome.kind == "invalid"
            if isinstance(outcome, Page):
                self._plainness[request.endpoint] = level
            if not refused or level + 1 == len(request.params):
                return outcome
            level += 1

    async def _authorised(
        self, question: Question, request: Request, params: Params, deadline: asyncio.Timeout
    ) -> Answer | Denial:
        """Send with the token; on a refusal read its file again, and send once more if it holds another."""
        refusal = self._token.read_if_changed()
        if refusal:
            return refusal
        used = self._token.generation
        outcome = await self._persistent(question, request, params, deadline)
        if not isinstance(outcome, Denial) or not outcome.everything:
            return outcome
        refusal = self._token.read()
        if refusal or self._token.generation == used:
            return refusal or outcome
        return await self._persistent(question, request, params, deadline)

    async def _persistent(
        self, question: Question, request: Request, params: Params, deadline: asyncio.Timeout
    ) -> Answer | Denial:
        """Try again at once where the connection went away before any answer, as idle ones may."""
        attempt = 0
        try:
            exchange = self._console.exchange() if request.console else self._exchange
        except ConfigError as error:
            return Trouble("tls", str(error))
        while True:
            try:
                return await exchange.once(question, request, params, deadline)
            except (httpx.TransportError, OSError) as error:
                if attempt == RETRIES or not before_answer(error):
                    return transport_trouble(self._access, error)
            attempt += 1
            await asyncio.sleep(random.uniform(*PAUSE_S))  # noqa: S311 - jitter, not a secret
