"""To a Kafka topic, by bluesky-kafka's publisher."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from bluesky_kafka import Publisher

from ._target import KafkaTarget

__all__ = ["KafkaWire"]
logger = logging.getLogger(__name__)
#: librdkafka's settings (docs: CONFIGURATION.md of librdkafka), unless the file of the target says otherwise: in order,
#: none twice, given up after a minute, and no more of them waiting than a session may keep in memory.
USUAL: dict[str, Any] = {
    "enable.idempotence": True,
    "message.timeout.ms": 60_000,
    "queue.buffering.max.messages": 10_000,
    "queue.buffering.max.kbytes": 64 << 10,
    "message.max.bytes": 8 << 20,
}


class KafkaWire:
    """See :class:`rdaq_ophyd.publish._publishing.Wire`.

    :param target: whereto, and how.
    """

    def __init__(self, target: KafkaTarget) -> None:
        self._target, self._lost = target, 0
        # One key keeps all documents of the rig in one partition, and with that in order.
        self._publisher = Publisher(
            topic=target.topic,
            bootstrap_servers=target.servers,
            key=target.topic,
            producer_config=USUAL | {"logger": logger} | dict(target.settings),
            on_delivery=self._on_delivery,
        )

    def _on_delivery(self, error: Any, _message: Any) -> None:
        if error is not None:
            self._lost += 1
            logger.debug("%s: %s", self._target, error)

    def ready(self) -> bool:
        """Always: it keeps documents while no broker answers, and tells later which did not arrive."""
        self._publisher._producer.poll(0)
        return True

    def send(self, name: str, document: Mapping[str, Any]) -> bool:
        """False when as many wait already as may."""
        try:
            self._publisher(name, dict(document))
        except BufferError:
            return False
        return True

    def lost(self) -> int:
        """What no broker has confirmed in time."""
        lost, self._lost = self._lost, 0
        return lost

    def close(self, seconds: float) -> None:
        """What is not there by then is lost."""
        self._publisher._producer.flush(seconds)
        self._lost += len(self._publisher._producer)
        del self._publisher  # librdkafka ends its threads and connections with its last reference
