"""What Kafka's errors mean for a stream: wait for a person, claim again, or let go."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator

from aiokafka import errors as kafka
from aiokafka.errors import BrokerResponseError, KafkaError

from orchbridge.core.errors import OrchbridgeError, Refused, SinkLost


class InvalidRecord(BrokerResponseError):  # type: ignore[misc]
    """The broker's own check found fault with a record; aiokafka does not know this code."""

    errno = 87
    message = "INVALID_RECORD"
    description = "This record has failed the validation on the broker"


kafka.kafka_errors.setdefault(InvalidRecord.errno, InvalidRecord)

# Whatever of these comes out of a transaction, its outcome is unknown.
DOUBT = (KafkaError, kafka.IllegalOperation, kafka.ConsumerStoppedError, AssertionError, TimeoutError, OSError)

# A second owner is one of the things that can be behind these; the coordinator's own abort is another.
MAYBE_FENCED = (
    kafka.ProducerFenced,
    kafka.InvalidProducerEpoch,
    kafka.InvalidTxnState,
    kafka.InvalidProducerIdMapping,
    kafka.OutOfOrderSequenceNumber,
    kafka.UnknownProducerId,
)

# Behind these a second owner may fight with us for the stream; behind the others of them only a state was lost.
CONTESTING = (kafka.ProducerFenced, kafka.InvalidProducerEpoch, kafka.InvalidTxnState)

# The broker will not take some record of a batch, now or ever.
RECORD_LEVEL = (
    kafka.MessageSizeTooLargeError,
    kafka.RecordListTooLargeError,
    kafka.InvalidTimestampError,
    kafka.UnsupportedForMessageFormatError,
    InvalidRecord,
)

_AUTHENTICATION = (
    kafka.AuthenticationFailedError,
    kafka.AuthenticationMethodNotSupported,
    kafka.SaslAuthenticationFailed,
    kafka.UnsupportedSaslMechanismError,
    kafka.IllegalSaslStateError,
)

_CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)

_HINTS: dict[type[BaseException], str] = {
    kafka.TopicAuthorizationFailedError: "allow the user Describe, DescribeConfigs, Read and Write on it"
    " (and Create, or create the topics beforehand)",
    kafka.GroupAuthorizationFailedError: "allow the user Describe and Read on the group",
    kafka.ClusterAuthorizationFailedError: "allow the user Create on the cluster, or create the topics beforehand"
    " and set create_topics = false",
    kafka.TransactionalIdAuthorizationFailed: "allow the user Describe and Write on transactional ids that begin"
    " with the group's name and a dot",
    kafka.InvalidTopicError: "choose a topic_prefix of letters, digits, '.', '_' and '-'",
    kafka.PolicyViolationError: "the broker's policy forbids it: create the topics as the policy wants them",
    kafka.InvalidReplicationFactorError: "set replication_factor to at most the number of brokers",
    kafka.InvalidConfigurationError: "the broker does not take these topic settings: create the topics by hand",
    kafka.InvalidTransactionTimeout: "raise transaction.max.timeout.ms on the brokers to 15 s or more",
    kafka.InconsistentGroupProtocolError: "another kind of consumer is in this group: set sink.group to a name that"
    " only orchbridge uses",
    kafka.InvalidSessionTimeoutError: "let group.min.session.timeout.ms and group.max.session.timeout.ms of the"
    " brokers admit 6 s",
    kafka.InvalidGroupIdError: "set sink.group to a name of letters, digits, '.', '_' and '-'",
    kafka.SecurityDisabled: "turn on the broker's authorizer, or do without its rules",
}


@contextlib.contextmanager
def unless_asked() -> Iterator[None]:
    """Turn a cancellation that nobody asked of this task into a KafkaError.

    aiokafka cancels tasks of its own when it is closed, waits for them, and lets that cancellation out to whoever
    closes it: a fetch that pauses after its connection broke does so. Taken for ours it would end the task without
    a word, and a TaskGroup takes no notice of tasks that end so.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise KafkaError("something of the client's own was cancelled") from error


def chain(error: BaseException | None) -> list[BaseException]:
    """Return the error with its causes: aiokafka wraps what it did not expect."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__
    return found


def meaning(error: BaseException, subject: str) -> OrchbridgeError | None:
    """Return Refused with the fix where only a person can help; None where time may."""
    for cause in chain(error):
        if isinstance(cause, _AUTHENTICATION):
            return Refused(
                f"{subject} does not let us in: {_text(cause)}",
                hint="check security_protocol, sasl_mechanism, sasl_plain_username and sasl_plain_password",
            )
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _CUT_OFF):
            return Refused(
                f"TLS with {subject} fails: {_text(cause)}",
                hint="check that the listener speaks TLS, and ssl_cafile, ssl_certfile, ssl_keyfile",
            )
        for kind, hint in _HINTS.items():
            if isinstance(cause, kind):
                return Refused(f"{subject} is refused: {_text(cause)}", hint=hint)
    return None


def lost(error: BaseException, what: str) -> SinkLost:
    """Return SinkLost with what happened in a line."""
    if isinstance(error, TimeoutError) and not error.args:
        return SinkLost(f"{what}: no answer in time", hint="look at the brokers; orchbridge tries again by itself")
    name, told = type(error).__name__, str(error)  # Kafka's errors begin with their own name
    told = told if told.startswith(name) else f"{name} {told}".strip()
    return SinkLost(f"{what}: {told}", hint="orchbridge tries again by itself")


def _text(error: BaseException) -> str:
    name = getattr(error, "message", None) or type(error).__name__
    told = [arg for arg in error.args if isinstance(arg, str)]
    told += [", ".join(sorted(map(str, arg))) for arg in error.args if isinstance(arg, set | frozenset)]  # of topics
    return " ".join((name, *told)).strip()
