"""Documents for many: bluesky's own publishers (0MQ, Kafka), fed so that no scan waits for them or fails of them."""

from typing import TYPE_CHECKING

from rdaq_ophyd._later import later

if TYPE_CHECKING:
    from ._publishing import Publishing
    from ._serializers import json_bytes
    from ._target import KafkaTarget, Target, ZmqTarget, from_environment, target_of
    from ._wires import publish
else:
    # Most sessions publish to nobody.
    __getattr__ = later(
        __name__,
        Publishing="_publishing",
        json_bytes="_serializers",
        **dict.fromkeys(("KafkaTarget", "Target", "ZmqTarget", "from_environment", "target_of"), "_target"),
        publish="_wires",
    )

VARIABLE = "RDAQ_PUBLISH"
"""Environment variable with further addresses, apart by spaces."""

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
