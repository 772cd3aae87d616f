"""Where documents are published to, as one address: ``zmq://127.0.0.1:5567?prefix=laser_lab``."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from rdaq_ophyd.errors import NotAllowed, PublishError, UnknownName

from . import VARIABLE
from ._serializers import SERIALIZERS

__all__ = ["KafkaTarget", "Target", "ZmqTarget", "from_environment", "is_local", "target_of"]
EXAMPLE = "such as zmq://127.0.0.1:5567?prefix=laser_lab, or kafka://broker:9092/laser_lab?config=/etc/rdaq/kafka.toml"
SECURED = frozenset({"ssl", "sasl_ssl"})
"""librdkafka's ``security.protocol`` with TLS."""


@dataclass(frozen=True)
class ZmqTarget:
    """The incoming side of a 0MQ proxy.

    :param address: ``tcp://host:port`` or ``ipc:///path``.
    :param prefix: before each document; tells rigs that share a proxy apart.
    :param serializer: ``pickle`` or ``json``.
    :param secret_key: file of our own CURVE key.
    :param server_key: file of the proxy's public key.
    """

    address: str
    prefix: str = ""
    serializer: str = "pickle"
    secret_key: Path | None = None
    server_key: Path | None = None

    def __str__(self) -> str:
        return f"zmq {self.address}" + (f" ({self.prefix})" if self.prefix else "")


@dataclass(frozen=True)
class KafkaTarget:
    """A topic of a Kafka cluster.

    :param servers: ``host:port,host:port`` to begin with.
    :param topic: to which all documents go, in order: they bear one key.
    :param settings: of librdkafka's producer.
    """

    servers: str
    topic: str
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)  # there may be a password in them

    def __str__(self) -> str:
        return f"kafka {self.servers} {self.topic}"


type Target = ZmqTarget | KafkaTarget


def from_environment() -> list[Target]:
    """Those of ``$RDAQ_PUBLISH``.

    :raises PublishError: one of them is none.
    :raises NotAllowed: see :func:`target_of`.
    """
    return [target_of(text) for text in os.environ.get(VARIABLE, "").split()]


def target_of(text: str) -> Target:
    """Of an address.

    ``zmq://HOST:PORT``, ``zmq+ipc:///PATH``, with ``?prefix=``, ``serializer=``, ``secret_key=`` and ``server_key=``;
    ``kafka://HOST:PORT,HOST:PORT/TOPIC`` with ``?config=`` (a TOML file of librdkafka's settings).

    :raises PublishError: it is none; says what is wrong with it.
    :raises NotAllowed: another machine than this one without keys, or without TLS.
    """
    try:
        url = urlsplit(text)
        options = _options(text, url)
        match url.scheme:
            case "zmq" | "zmq+ipc":
                return _zmq(text, url, options)
            case "kafka":
                return _kafka(text, url, options)
    except ValueError as error:  # urllib's, of hosts, ports and options
        raise PublishError(f"{text!r}: {error}", hint=EXAMPLE) from error
    raise PublishError(f"{text!r} is no address to publish to", hint=EXAMPLE)


KNOWN = {"kafka": {"config"}, "zmq": {"prefix", "serializer", "secret_key", "server_key"}}
KNOWN["zmq+ipc"] = KNOWN["zmq"]


def _options(text: str, url: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)))
    known = KNOWN.get(url.scheme, set())
    for name in options:
        if url.scheme in KNOWN and name not in known:
            raise PublishError(f"{text!r}: {UnknownName.among('option', name, known)}")
    return options


def _zmq(text: str, url: SplitResult, options: dict[str, str]) -> ZmqTarget:
    prefix, serializer = options.get("prefix", ""), options.get("serializer", "pickle")
    if any(letter.isspace() for letter in prefix):
        raise PublishError(f"{text!r}: a prefix has no spaces", hint="such as prefix=laser_lab")
    if serializer not in SERIALIZERS:
        raise PublishError(f"{text!r}: serializer {serializer!r}", hint=f"one of {', '.join(SERIALIZERS)}")
    keys = [_file(text, options.get(name)) for name in ("secret_key", "server_key")]
    if keys.count(None) == 1:
        raise PublishError(f"{text!r}: one key of two", hint="give secret_key and server_key: `rdaq documents keys`")
    if url.scheme == "zmq+ipc":
        if url.netloc or not url.path.strip("/"):
            raise PublishError(f"{text!r}: no path", hint="such as zmq+ipc:///run/rdaq/documents")
        return ZmqTarget(f"ipc://{url.path}", prefix, serializer, *keys)
    if not (url.hostname and url.port) or url.path not in ("", "/"):
        raise PublishError(f"{text!r} is no host with a port", hint=EXAMPLE)
    if None in keys and not is_local(url.hostname):
        raise NotAllowed(
            f"{url.hostname} is another machine: documents would go there readable by all, and changeable",
            hint="give secret_key and server_key (`rdaq documents keys`), or use an SSH tunnel to 127.0.0.1",
        )
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return ZmqTarget(f"tcp://{host}:{url.port}", prefix, serializer, *keys)


def _kafka(text: str, url: SplitResult, options: dict[str, str]) -> KafkaTarget:
    topic = url.path.strip("/")
    servers = [urlsplit(f"//{server}") for server in url.netloc.split(",")]
    if not topic or "/" in topic or not all(server.hostname and server.port for server in servers):
        raise PublishError(f"{text!r} is no brokers and topic", hint=EXAMPLE)
    if (path := _file(text, options.get("config"))) is not None and path.stat().st_mode & 0o077:
        raise PublishError(f"{path}: others may read it", hint=f"chmod 600 {path}")
    settings = _settings(path) if path else {}
    secured = str(settings.get("security.protocol", "")).lower() in SECURED
    if away := [server.hostname for server in servers if not is_local(str(server.hostname)) and not secured]:
        raise NotAllowed(
            f"{away[0]} is another machine: documents would go there readable by all",
            hint='"security.protocol" = "ssl" or "sasl_ssl" in the file of config=, or use a tunnel',
        )
    return KafkaTarget(url.netloc, topic, settings)


def _settings(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PublishError(f"{path}: {error}", hint='lines such as "security.protocol" = "ssl"') from error


def _file(text: str, name: str | None) -> Path | None:
    if name is None:
        return None
    path = Path(name).expanduser()
    if not path.is_absolute():
        raise PublishError(f"{text!r}: {name!r} depends on the working directory", hint="give the whole path")
    if not path.is_file():
        raise PublishError(f"{path}: there is no such file", hint="`rdaq documents keys DIR` makes keys")
    return path


def is_local(host: str) -> bool:
    """Whether it is this machine, by an address that no other one reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
