"""What a person can do about a source that does not answer well, by the kind of trouble."""

from __future__ import annotations

ADVICE = {
    "unreachable": "see that the orchestrator runs and its port can be reached from here; orchbridge check shows where "
    "it fails",
    "timeout": "see how busy the orchestrator is; where it always takes this long, raise timeout_s",
    "tls": "see that ca_file holds the authority of the server's certificate, and that neither has expired; orchbridge "
    "check shows the chain",
    "server": "wait a minute: the service may be restarting; then look into its log below "
    "/var/log/puppetlabs/orchestration-services",
    "throttled": "lower requests_per_s of this source",
    "forbidden": "give the token's user the right to see it",
    "malformed": "see whether something between here and the orchestrator answers in its place",
    "oversize": "nothing: it is said in the certificate what is missing",
}


def advice(kind: str) -> str:
    """Return what to do, "" where there is nothing: it is asked for again by itself."""
    return ADVICE.get(kind, "")
