"""nginx with the shipped configuration, on ports of this test, in the foreground."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from certificates import Authority

SHIPPED = Path(__file__).parents[2] / "docs" / "examples" / "nginx.conf"
PROGRAM = shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else None)
AROUND = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    access_log {folder}/default.log;  # as the distribution's own has it
    include {folder}/rdaq.conf;
}}
"""


@dataclass(frozen=True)
class Nginx:
    """One that runs: its addresses as ``localhost:port``, and who signs its certificates."""

    process: subprocess.Popen[bytes]
    folder: Path
    rig: str
    data: str
    authority: Authority

    @property
    def certificate(self) -> Path:
        """Of who signed its own."""
        return self.authority.certificate

    def context(self) -> ssl.SSLContext:
        """A client's, which knows that."""
        return ssl.create_default_context(cafile=self.certificate)

    def shown(self) -> bytes:
        """The certificate that a new connection gets."""
        with (
            socket.create_connection(("localhost", int(self.rig.split(":")[1])), 10) as plain,
            ssl._create_unverified_context().wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            return secured.getpeercert(binary_form=True)

    def reload(self) -> None:
        """As ``nginx -s reload`` does it."""
        self.process.send_signal(signal.SIGHUP)


def free_ports(number: int) -> list[int]:
    """So many that nobody has."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in made:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in made]


def configuration(folder: Path, ports: dict[str, str], rig: int, data: int) -> str:
    """The shipped text with other names, files and ports, each of which has to be in it."""
    text = SHIPPED.read_text()
    first, second = text.split("# The catalog:")
    text = first.replace("443", f"127.0.0.1:{rig}") + "# The catalog:" + second.replace("443", f"127.0.0.1:{data}")
    return changed(
        text,
        {
            "rig.lab.example;": "localhost;",
            "data.lab.example;": "localhost;",
            "/etc/ssl/rdaq/fullchain.pem": f"{folder}/cert.pem",
            "/etc/ssl/rdaq/privkey.pem": f"{folder}/key.pem",
            "access_log /var/log/nginx/rdaq.log": f"access_log {folder}/access.log",
            **ports,
        },
    )


def changed(text: str, changes: dict[str, str]) -> str:
    """The text with other words, each of which has to be in it."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@contextlib.contextmanager
def nginx(folder: Path, rig: int, data: int, ports: dict[str, str]) -> Iterator[Nginx]:
    """Until the block ends.

    :param rig: its port for the rig; ``data`` for the catalog.
    :param ports: by the address that stands in the configuration, the one that it has here.
    """
    authority = Authority(folder)
    with running(folder, configuration(folder, ports, rig, data), rig) as process:
        yield Nginx(process, folder, f"localhost:{rig}", f"localhost:{data}", authority)


@contextlib.contextmanager
def running(folder: Path, text: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """nginx with that configuration, which listens on ``port``."""
    if PROGRAM is None:
        pytest.skip("nginx is not installed (make test-deps)")
    (folder / "rdaq.conf").write_text(text)
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=log)
    try:
        end = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, (folder / "nginx.log").read_text()
            assert time.monotonic() < end
        yield process
    finally:
        process.terminate()
        process.wait(10)
