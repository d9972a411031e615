"""The orchestrator client: a question goes in, an answer comes out, failures included."""

from orchbridge.orchestrator import errors
from orchbridge.orchestrator.access import Access
from orchbridge.orchestrator.client import Client
from orchbridge.orchestrator.exchange import Asked

__all__ = ["Access", "Asked", "Client", "errors"]
