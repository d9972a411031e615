"""Errors, by who must act.

OrchbridgeError
├── ConfigError     the operator: edit the file          exit 2, the message names the key
├── Denied          the operator: token or rights        stream parked until the token or CA file changes
├── Refused         the operator: the sink says no       stream parked (missing topic, authorisation, policy)
├── Corrupt         a memory that cannot be read or is another's: never guess, park the stream
├── SinkLost        nobody: claim again after a pause
└── Fenced          nobody: another owner is alive, let the stream go

Anything else is a bug: the task group ends, the process ends, the supervisor restarts us.
"""


class OrchbridgeError(Exception):
    """What failed and on what, with a `hint`: what the person who reads it should do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def line(self) -> str:
        """Return the whole story on one line."""
        return f"{self} — {self.hint}" if self.hint else str(self)


class ConfigError(OrchbridgeError):
    """The configuration cannot be used."""


class Denied(OrchbridgeError):
    """The source will not answer us until a person changes the token or its rights.

    `kind` is the server's error kind, such as `puppetlabs.rbac/token-expired`.
    """

    def __init__(self, message: str, *, hint: str = "", kind: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class Refused(OrchbridgeError):
    """The sink will not take our records until a person changes its topics, rights or policy."""


class Corrupt(OrchbridgeError):
    """The memory in the sink cannot be read or belongs to somebody else."""


class SinkLost(OrchbridgeError):
    """The outcome of a commit, or the claim itself, is uncertain.

    `contested` where another owner could be behind it, though nothing shows one.
    """

    def __init__(self, message: str, *, hint: str = "", contested: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.contested = contested


class Fenced(OrchbridgeError):
    """A newer owner of the stream exists."""
