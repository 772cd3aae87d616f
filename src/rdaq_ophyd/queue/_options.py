"""What the supervisor tells the worker, which queueserver starts: by the environment, whatever way it is started."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from rdaq_ophyd.errors import RdaqError

__all__ = ["WorkerOptions"]
VARIABLE = "RDAQ_QUEUE_WORKER"


@dataclass(frozen=True)
class WorkerOptions:
    """The session of a worker, and where it is served.

    :param profile: path of the profile.
    :param data_dir: data directory.
    :param operator: recorded in every run; None: the login name.
    :param host: address of the gRPC server.
    :param port: its port; 0 for any that is free.
    :param tokens: file of who may come in.
    :param certificate: TLS certificate with its chain.
    :param key: its private key.
    :param limits: how much the server takes, ``name=value``.
    :param script_seconds: a script's longest thought, s; None: the usual.
    :param script_memory: bytes of a script's process; None: the usual.
    :param page: port of the page in the browser, 0 for any that is free; None: there is no page.
    :param metrics_port: of ``/metrics``, ``/healthz`` and ``/readyz``, likewise.
    :param metrics_host: address for these.
    :param log_format: how the processes of the queue log, ``text`` or ``json``.
    """

    profile: str
    data_dir: str
    operator: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    tokens: str | None = None
    certificate: str | None = None
    key: str | None = None
    limits: tuple[str, ...] = ()
    script_seconds: float | None = None
    script_memory: float | None = None
    page: int | None = None
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    log_format: str = "text"

    def environment(self) -> dict[str, str]:
        """Variables for the processes that queueserver starts."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> WorkerOptions:
        """What the supervisor said.

        :raises RdaqError: this process was not started by it.
        """
        text = os.environ.get(VARIABLE)
        if text is None:
            raise RdaqError("this module is for the worker of a queue alone", hint="rdaq queue PROFILE")
        given = json.loads(text)
        return cls(**{**given, "limits": tuple(given["limits"])})
