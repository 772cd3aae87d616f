"""queueserver's manager as a child process."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

from rdaq_ophyd.errors import QueueError

from ._files import QueueFolder
from ._options import WorkerOptions

__all__ = ["ManagerProcess", "check_free", "free_port"]
TERMINATED = 10.0
"""Seconds for it to end when it is told to."""


def check_free(port: int) -> None:
    """Look whether one can listen on a port of this machine.

    :raises QueueError: one cannot.
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            hint = "is another queue running? `rdaq queue status`; else give another --control-port"
            raise QueueError(f"port {port}: {error.strerror}", hint=hint) from error


def free_port() -> int:
    """A port of this machine that nobody has now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


class ManagerProcess:
    """Started by the constructor; it ends when ``end`` is called, or this process is gone.

    :param folder: where its files are.
    :param control: its address for requests, ``tcp://127.0.0.1:PORT``.
    :param info: its address for what it publishes.
    :param redis: address of its Redis.
    :param prefix: of the keys there.
    :param log: descriptor for its log; None: our standard error, which has what a process dies of in any case.
    """

    def __init__(
        self,
        options: WorkerOptions,
        folder: QueueFolder,
        *,
        control: str,
        info: str,
        redis: str,
        prefix: str,
        log: int | None = None,
    ) -> None:
        settings = {
            "network": {
                "zmq_control_addr": control,
                "zmq_info_addr": info,
                "zmq_publish_console": True,
                "redis_addr": redis,
                "redis_name_prefix": prefix,
            },
            "startup": {
                "startup_module": "rdaq_ophyd.queue.environment",
                "existing_plans_and_devices_path": str(folder.existing),
                "user_group_permissions_path": str(folder.permissions),
                "ignore_invalid_plans": True,
            },
        }
        folder.write_settings(settings)  # not on the command line, which everybody can read: Redis may want a password
        command = [sys.executable, "-m", "rdaq_ophyd.queue", f"--config={folder.settings}"]
        # A session of its own: Ctrl-C is for us, who end it in order. Its standard input tells it that we live.
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=sys.stderr.fileno() if log is None else log,
            env=_clean(dict(os.environ)) | options.environment(),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it lives."""
        return self._child.poll()

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; False when it has not."""
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """End it, and with it what it started: the worker is killed, its watchdog makes the rig safe. Idempotent."""
        if self._child.poll() is None:
            self._child.terminate()
            if not self.wait(TERMINATED):
                self._child.kill()
                self._child.wait()
        if self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()


def _clean(environment: dict[str, str]) -> dict[str, str]:
    """Without variables that would change what is said here by options."""
    return {name: value for name, value in environment.items() if not name.startswith("QSERVER_") or "KEY" in name}
