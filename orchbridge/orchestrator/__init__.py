"""The orchestrator's whole API, for the bridge and for people.

`Client.answer` is how the bridge asks: a question goes in, an answer comes out, failures included. The
client's namespaces are for everybody else: every documented endpoint as a typed method, errors by kind.
What they return is in `models`, what they raise in `errors`, which endpoint is which method in `endpoints`.

    async with Client(Access("prod", "https://pe.example.com:8143", token_file=path)) as client:
        job = await client.commands.task("facts", {}, Scope(nodes=["a.example.com"]))
        async for event in client.jobs.follow(job.id):
            print(event.at, event.type, event.node)
"""

from orchbridge.orchestrator import errors
from orchbridge.orchestrator.access import Access
from orchbridge.orchestrator.api.drafts import RunFlags
from orchbridge.orchestrator.api.following import Tempo
from orchbridge.orchestrator.api.inputs import DeployInput, PlanInput, TaskInput
from orchbridge.orchestrator.client import Client
from orchbridge.orchestrator.exchange import Asked
from orchbridge.orchestrator.models import Ref, Scope, Target

__all__ = [
    "Access",
    "Asked",
    "Client",
    "DeployInput",
    "PlanInput",
    "Ref",
    "RunFlags",
    "Scope",
    "Target",
    "TaskInput",
    "Tempo",
    "errors",
]
