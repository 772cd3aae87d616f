"""Tiled as for several rigs, for real: PostgreSQL, Redis and worker processes on loopback, from profiles/scaled/."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from untraced import untraced

SCALED = Path(__file__).parents[2] / "profiles" / "scaled"
ROOT = os.geteuid() == 0
#: PostgreSQL refuses to run as root.
ACCOUNT = "postgres"
#: Before a command: it is told to end when the test's process ends, however that ends.
ENDS_WITH_US = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []

WRITER = ("read:metadata", "read:data", "write:metadata", "write:data", "create:node", "register")
READER = ("read:metadata", "read:data", "create:apikeys", "revoke:apikeys")


def binaries() -> Path | None:
    """Where PostgreSQL's programs are: Debian keeps them out of the path."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


def missing() -> str:
    """What is not installed here, in words; empty when all is."""
    absent = []
    if binaries() is None or shutil.which("psql") is None:
        absent.append("PostgreSQL")
    if shutil.which("redis-server") is None:
        absent.append("redis-server")
    if ROOT and (shutil.which("setpriv") is None or not _account()):
        absent.append(f"setpriv and an account {ACCOUNT!r} (PostgreSQL does not run as root)")
    return f"not installed: {', '.join(absent)}" if absent else ""


def _account() -> bool:
    import pwd

    return any(entry.pw_name == ACCOUNT for entry in pwd.getpwall())


def until(condition: Callable[[], object], seconds: float = 150.0, what: str = "it") -> None:
    """Wait until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come within {seconds:g} s"
        threading.Event().wait(0.1)  # what is asked is a busy server


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class Program:
    """A server that a test starts, kills and starts again at the same port.

    :param port: where it listens.
    :param log: what it says.
    """

    def __init__(self, port: int, log: Path) -> None:
        self.port, self.log = port, log
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """What to run."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Its environment."""
        return {**os.environ}

    def start(self) -> None:
        """Start it; returns once it listens."""
        with self.log.open("ab") as log, untraced():
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment()
            )
        until(self.listens, 240, what=self.log.stem)

    def listens(self) -> bool:
        """Whether a connection is taken."""
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """``kill -9``."""
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


class Postgres(Program):
    """One PostgreSQL with a password, in a directory of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(free_port(), folder / "postgres.log")
        self.data, self.password = folder / "postgres", secrets.token_hex(8)
        self.bin = binaries()
        self.data.mkdir(mode=0o700)
        word = folder / "password"
        word.write_text(self.password)
        word.chmod(0o644)  # of a server for a minute
        if ROOT:
            shutil.chown(self.data, ACCOUNT, ACCOUNT)
        made = [*self._as(), str(self.bin / "initdb"), "-D", str(self.data), "-U", "tiled", f"--pwfile={word}"]
        options = ["-A", "scram-sha-256", "--no-sync", "-E", "UTF8", "--locale", "C"]
        subprocess.run([*made, *options], check=True, capture_output=True, cwd="/")

    def _as(self) -> list[str]:
        return [*ENDS_WITH_US, "--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"] if ROOT else ENDS_WITH_US

    def command(self) -> list[str]:
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        options = [word for setting in settings for word in ("-c", setting)]
        return [*self._as(), str(self.bin / "postgres"), "-D", str(self.data), *options]

    def uri(self, database: str) -> str:
        """Address of one of its databases."""
        return f"postgresql://tiled:{self.password}@127.0.0.1:{self.port}/{database}"

    def listens(self) -> bool:
        ready = [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return super().listens() and subprocess.run(ready, check=False).returncode == 0

    def kill(self) -> None:
        """``kill -9`` of the postmaster and of all its children."""
        import psutil

        family = psutil.Process(self.process.pid).children(recursive=True)
        super().kill()
        for each in family:
            try:
                each.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(family, 20)

    def sql(self, database: str, *options: str) -> str:
        """What psql answers."""
        command = ["psql", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.uri(database), *options]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Redis(Program):
    """One Redis with a password, which keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(free_port(), folder / "redis.log")
        self.password = secrets.token_hex(8)

    def command(self) -> list[str]:
        where = ["--bind", "127.0.0.1", "--port", str(self.port)]
        return [
            *ENDS_WITH_US,
            "redis-server",
            *where,
            "--save",
            "",
            "--appendonly",
            "no",
            "--requirepass",
            self.password,
        ]

    @property
    def uri(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


class TiledWorkers(Program):
    """Tiled's worker processes behind one port, as README.md of the profile starts them."""

    #: More for uvicorn.
    options: tuple[str, ...] = ()

    def __init__(self, folder: Path, variables: dict[str, str], *, workers: int = 2, config: Path = SCALED) -> None:
        super().__init__(free_port(), folder / "tiled.log")
        self.variables, self.workers = variables, workers
        self.config = config

    def command(self) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", str(self.workers)]
        quiet = ["--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "30"]
        # While it imports, a worker on a busy machine answers its supervisor late, who would start it over and over.
        quiet += ["--timeout-worker-healthcheck", "120"]
        uvicorn = [sys.executable, "-m", "uvicorn", "--factory", "tiled.server.app:app_factory"]
        return [*ENDS_WITH_US, *uvicorn, *where, *quiet, *self.options]

    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.variables, "TILED_CONFIG": str(self.config / "config.yml")}

    def stop(self) -> None:
        """End it, with a worker that its supervisor has just begun and does not end."""
        import psutil

        running = self.process is not None and self.process.poll() is None
        family = psutil.Process(self.process.pid).children(recursive=True) if running else []
        super().stop()
        _, left = psutil.wait_procs(family, 5)
        for each in left:
            each.kill()

    def listens(self) -> bool:
        if not super().listens():
            return False
        try:
            return httpx.get(f"{self.uri}/", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"

    def pids(self) -> list[int]:
        """The processes that answer requests."""
        import psutil

        found = psutil.Process(self.process.pid).children()
        alive = [each for each in found if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
        return [each.pid for each in alive if "spawn_main" in " ".join(each.cmdline())]


class Lab:
    """The three servers, their keys, and the file system that they share with the rigs.

    :ivar frames: the shared file system as the server sees it.
    """

    def __init__(self, folder: Path, postgres: Postgres, redis: Redis) -> None:
        self.folder, self.postgres, self.redis = folder, postgres, redis
        self.frames = folder / "srv" / "frames"
        self.frames.mkdir(parents=True)
        (folder / "arrays").mkdir()
        secret = secrets.token_hex(32)
        self.password = secrets.token_hex(16)
        self.variables = {
            "RDAQ_TILED_CATALOG_DB": postgres.uri("rdaq_catalog"),
            "RDAQ_TILED_TABLES_DB": postgres.uri("rdaq_tables"),
            "RDAQ_TILED_LOGINS_DB": postgres.uri("rdaq_logins"),
            "RDAQ_TILED_REDIS": redis.uri,
            "RDAQ_TILED_SECRET_KEY": secret,
            "RDAQ_TILED_OLD_SECRET_KEY": secret,
            "RDAQ_TILED_ADMIN_PASSWORD": self.password,
            "RDAQ_TILED_ARRAYS": str(folder / "arrays"),
            "RDAQ_TILED_FRAMES": str(self.frames),
        }
        self.tiled = TiledWorkers(folder, self.variables)

    def prepare(self) -> None:
        """Databases, tables and roles, by the commands of the profile's README.md."""
        for name in ("rdaq_catalog", "rdaq_tables", "rdaq_logins"):
            self.postgres.sql("postgres", "-c", f"CREATE DATABASE {name}")
        server = f"postgresql://tiled@127.0.0.1:{self.postgres.port}"
        made = [
            ["catalog", "init", f"{server}/rdaq_catalog"],
            ["admin", "initialize-database", f"{server}/rdaq_logins"],
        ]
        options: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        options["env"] = {**os.environ, "PGPASSWORD": self.postgres.password}
        with untraced():
            running = [subprocess.Popen([sys.executable, "-m", "tiled", *words], **options) for words in made]
        for one in running:
            _, said = one.communicate(timeout=240)
            assert one.returncode == 0, said.decode()
        self.postgres.sql("rdaq_logins", "-f", str(SCALED / "roles.sql"))
        self.postgres.sql("rdaq_tables", "-f", str(SCALED / "tables.sql"))

    def ask(self, method: str, path: str, token: str, **options: Any) -> Any:
        """A request of the administrator's."""
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.request(method, self.tiled.uri + path, headers=headers, timeout=30, trust_env=False, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def admin(self) -> str:
        """The administrator's token: a login with name and password."""
        form = {"username": "admin", "password": self.password, "grant_type": "password"}
        answer = httpx.post(f"{self.tiled.uri}/auth/provider/lab/token", data=form, timeout=30, trust_env=False)
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def key(self, role: str, scopes: tuple[str, ...], *, expires_in: int | None = None) -> str:
        """A new key of a new service."""
        token = self.admin()
        service = self.ask("POST", "/auth/principal", token, params={"role": role})["uuid"]
        asked = {"scopes": list(scopes), "expires_in": expires_in, "note": role}
        return str(self.ask("POST", f"/auth/principal/{service}/apikey", token, json=asked)["secret"])

    def key_file(self, key: str) -> Path:
        """A key in a file for its owner only."""
        path = self.folder / f"{key[:8]}.key"
        path.touch(0o600)
        path.write_text(key + "\n")
        return path


@contextmanager
def another(
    lab: Lab, folder: Path, change: Callable[[dict[str, Any]], object], **options: Any
) -> Iterator[TiledWorkers]:
    """A further Tiled on the lab's databases, its configuration changed.

    :param options: ``workers``, and ``options`` for uvicorn.
    """
    import yaml

    config = yaml.safe_load((SCALED / "config.yml").read_text())
    change(config)
    folder.mkdir(exist_ok=True)
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    server = TiledWorkers(folder, lab.variables, workers=options.get("workers", 1), config=folder)
    server.options = tuple(options.get("options", ()))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def scaled(**options: Any) -> Iterator[Lab]:
    """All of it, running; skips the test where a server is not installed."""
    if lacking := missing():
        pytest.skip(lacking)
    folder = Path(tempfile.mkdtemp(prefix="rdaq-scaled-"))
    folder.chmod(0o755)  # PostgreSQL's account has to reach its own folder in it
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres, redis = Postgres(folder), Redis(folder)
        for server in (postgres, redis):
            stack.callback(server.stop)
            server.start()
        lab = Lab(folder, postgres, redis)
        lab.prepare()
        stack.callback(lambda: lab.tiled.stop())
        lab.tiled.start()
        yield lab
