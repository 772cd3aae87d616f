"""Documents for many: bluesky's own publishers (0MQ, Kafka), fed so that no scan waits for them or fails of them."""

from ._publishing import Publishing
from ._serializers import json_bytes
from ._target import VARIABLE, KafkaTarget, Target, ZmqTarget, from_environment, target_of
from ._wires import publish

__all__ = [
    "VARIABLE",
    "KafkaTarget",
    "Publishing",
    "Target",
    "ZmqTarget",
    "from_environment",
    "json_bytes",
    "publish",
    "target_of",
]
