"""The end of a transaction is asked for once: where nobody answers, its outcome is in doubt.

In the first version of Kafka's transaction protocol, which aiokafka speaks, all transactions of a producer have
the same epoch until it is claimed anew. aiokafka asks again where the connection broke. Should the coordinator
then see the first request late, after the next transaction has begun, it would commit half of that one
(KIP-890). A new claim raises the epoch, after which whatever comes late is refused.
"""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, NodeNotReadyError
from aiokafka.protocol.transaction import EndTxnRequest


def end_once(producer: AIOKafkaProducer) -> None:
    """Let a commit of this producer fail where its request was sent and not answered."""
    send, transactions = producer.client.send, producer._txn_manager

    async def sending(node: int, request: Any, **options: Any) -> Any:
        try:
            return await send(node, request, **options)
        except NodeNotReadyError:  # it was not sent
            raise
        except KafkaError as error:
            if isinstance(request, EndTxnRequest) and transactions.needs_transaction_commit() is not None:
                transactions.fatal_error(error)
            raise

    producer.client.send = sending
