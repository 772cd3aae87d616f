"""The catalog of a session: spool, worker and Tiled of one data directory, as one object."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rdaq_ophyd.errors import CatalogError

from ._backlog import LineCounts, documents_behind, pending_runs
from ._child import Child
from ._credentials import ServerAddress, api_key
from ._files import read_json
from ._layout import data_layout
from ._shared import SharedCatalog, shared_catalog
from ._spool import Spool
from ._tiled_profile import NAME, write_profile
from ._view import SessionCatalog

if TYPE_CHECKING:
    from ._elsewhere import Elsewhere

logger = logging.getLogger(__name__)

_LOOK_EVERY = 0.02
_KEEP_EVERY = 0.25


class SecretKey(str):
    """A key that does not show itself in a repr, a traceback or a log of one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class EmbeddedCatalog:
    """Documents to disk, from there into Tiled, and back out of it, for one data directory.

    ``RE.subscribe(catalog.spool)`` records; ``catalog.c`` reads. Recording never needs the server. A second session of
    the same data directory uses the processes of the first, and runs its own once those have ended.

    With a ``catalog.toml`` in the data directory the runs go into the catalog that this names, which several rigs
    share; then ``c`` shows those of this rig, and :attr:`everything` all.

    :param data_directory: see :class:`DataLayout`; its folders are made when absent.
    :param profile: name under which Tiled and databroker clients of this user find the catalog; None for none.
    :param patience: seconds that ``c`` waits for documents on their way.
    :param rig: name of the rig; of a shared catalog ``c`` shows its runs only. Empty: all runs.
    :raises DataDirectoryError: when the data directory cannot be written.
    :raises CatalogError: when ``catalog.toml`` is wrong.
    """

    def __init__(
        self,
        data_directory: str | os.PathLike[str],
        *,
        profile: str | None = NAME,
        patience: float = 30.0,
        rig: str = "",
    ) -> None:
        self.layout = data_layout(data_directory).prepare()
        self.shared = shared_catalog(self.layout)
        self.rig = rig
        self.profile = profile
        self.patience = patience
        self.spool = Spool(self.layout)
        self.c = SessionCatalog(lambda: self.client, self._wait_for_view)
        folder = self.layout.catalog
        self._server: Child | Elsewhere = (
            _elsewhere(self.shared)
            if self.shared
            else Child(self.layout, "serve", folder / "server.lock", folder / "server.log")
        )
        self._worker = Child(self.layout, "worker", self.layout.spool / "worker.lock", folder / "worker.log")
        self._closing = threading.Event()
        self._keeper: threading.Thread | None = None
        self._client: tuple[str, Any] | None = None
        self._known: ServerAddress | None = None
        self._trouble = ""
        self._counts = LineCounts()

    def __repr__(self) -> str:
        return f"EmbeddedCatalog({str(self.layout.root)!r})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start Tiled and the worker in the background and return at once; harmless when repeated."""
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="rdaq-catalog", daemon=True)
            self._keeper.start()

    def ready(self, timeout: float = 60.0) -> str:
        """Wait until Tiled answers; its address.

        :raises CatalogError: when it does not within ``timeout`` seconds, or ends instead; with the end of its log.
        """
        self.start()
        end = time.monotonic() + timeout
        # A server that was up and died is being started again: only the end of the next one is a failure.
        failures = self._server.failures + (self._known is not None)
        while (known := self._known) is None or not self.serving:
            if self._server.failures > failures or time.monotonic() > end:
                raise self._server.not_up()
            self._closing.wait(_LOOK_EVERY)
        return known.uri

    @property
    def serving(self) -> bool:
        """Whether a server of this data directory is up now, ours or another session's."""
        return self._known is not None and self._known == self._running()

    @property
    def attached(self) -> bool:
        """Whether the server belongs to another session."""
        return self._server.attached

    @property
    def delivering(self) -> bool:
        """Whether a process brings documents into Tiled now, ours or another session's."""
        return self._worker.pid is not None or self._worker.attached

    @property
    def server_pid(self) -> int | None:
        """Process id of the server, ours or another session's; None while there is none or others keep it."""
        running = self._running()
        return running.pid if running and not self.shared else None

    @property
    def worker_pid(self) -> int | None:
        """Process id of the worker where it is ours."""
        return self._worker.pid

    @property
    def uri(self) -> str:
        """Address of Tiled's API; waits for the server to start.

        :raises CatalogError: as :meth:`ready`.
        """
        return self.ready()

    @property
    def api_key(self) -> SecretKey:
        """The key that every request needs, as header ``Authorization: Apikey …``.

        Of a shared catalog this is the key for readers: the rig's own is for nobody else.

        :raises CatalogError: a shared catalog has no key for readers here.
        """
        if self.shared is None:
            return SecretKey(api_key(self.layout))
        if not self.shared.reader:
            raise CatalogError(
                f"{self.shared.file}: it names no key for readers",
                hint="ask the administrator of the catalog for one, and name it as reader_key_file or reader_key_env",
            )
        return SecretKey(self.shared.reader.read())

    @property
    def client(self) -> Any:
        """A Tiled client of the catalog; waits for the server to start, and for no document.

        :raises CatalogError: as :meth:`ready`.
        """
        if self.shared is None or not self.rig:
            return self.everything
        from tiled.queries import Key

        return self.everything.search(Key("start.rig.name") == self.rig)

    @property
    def everything(self) -> Any:
        """The same, but of a shared catalog with the runs of all rigs, and nothing else that may lie there.

        :raises CatalogError: as :meth:`ready`.
        """
        uri = self.ready()
        if self._client is None or self._client[0] != uri:
            from tiled.client import from_uri
            from tiled.queries import SpecsQuery

            self.disconnect()
            # On loopback compressing costs more than it saves.
            headers = {} if self.shared else {"accept-encoding": "identity"}
            client = from_uri(uri, api_key=self._reading_key(), headers=headers)
            self._client = uri, client.search(SpecsQuery(["BlueskyRun"])) if self.shared else client
        return self._client[1]

    def _reading_key(self) -> str:
        if self.shared is not None and not self.shared.reader:
            return self.shared.writer.read()  # it stays in this process
        return str(self.api_key)

    def behind(self) -> int:
        """Documents recorded that Tiled does not have yet."""
        return documents_behind(self.layout, self._counts)

    def last_error(self) -> str:
        """What the delivery is failing with now; empty while it works."""
        return str((read_json(self.layout.spool / "status.json") or {}).get("error", ""))

    def wait_drained(self, uid: str | None = None, timeout: float = 30.0) -> bool:
        """Wait until Tiled has all documents recorded up to now, of run ``uid`` or of all runs.

        :return: False when some are still missing after ``timeout`` seconds.
        :raises CatalogError: when the worker gave up on a run; it stays in the spool and the next session tries again.
        """
        wanted = {run.uid: run.size for run in pending_runs(self.layout) if uid in (None, run.uid)}
        end = time.monotonic() + timeout
        while True:
            left = [run for run in pending_runs(self.layout) if run.delivery.bytes < wanted.get(run.uid, 0)]
            if not left:
                return True
            if all(run.delivery.parked for run in left):
                raise CatalogError(
                    f"Tiled does not take run {left[0].uid}: {left[0].delivery.error}",
                    hint=f"its documents are safe in {str(left[0].path)!r}; the next session tries again",
                )
            if time.monotonic() > end:
                return False
            time.sleep(_LOOK_EVERY)

    def export(self, run: int | str = -1, folder: str | os.PathLike[str] = ".", **options: Any) -> list[Path]:
        """Write a run into files, see :func:`export`; waits as ``c`` does for what was just recorded.

        :param run: uid or its beginning, scan number, or counted from the last.
        :param options: ``to``, ``streams``, ``frames``, ``force``.
        :return: the files.
        :raises UnknownName: no such run or stream.
        """
        from ._export import export, find_run  # PyArrow and what makes tables: only where they are wanted

        return export(find_run(self.c, run), folder, **options)

    def disconnect(self) -> None:
        """Close this session's connections to Tiled; the next use opens new ones."""
        if self._client is not None:
            self._client[1].context.close()
            self._client = None

    def close(self, timeout: float = 10.0) -> int:
        """Wait, bounded, for documents on their way, then end the worker and Tiled where they are ours.

        :return: documents that stay in the spool for the next session, which is also said in the log.
        """
        if self._keeper is not None:
            try:
                self.wait_drained(timeout=timeout)
            except CatalogError as error:
                logger.warning("%s", error)
            self._closing.set()
            self._keeper.join()
        self.disconnect()
        self.spool.close()
        self._worker.stop(timeout)
        self._server.stop(timeout)
        left = self.behind()
        if left:
            logger.warning("%d documents stay in %s; the next session delivers them", left, self.layout.spool)
        return left

    def _running(self) -> ServerAddress | None:
        return self._server.address

    def _keep(self) -> None:
        while not self._closing.is_set():
            try:
                self._keep_once()
            except (
                OSError,
                CatalogError,
            ) as error:  # a full disk, a key that is missing: both may pass
                if str(error) != self._trouble:
                    logger.warning("catalog of %s: %s", self.layout.root, error)
                self._trouble = str(error)
            self._closing.wait(_KEEP_EVERY)

    def _keep_once(self) -> None:
        self._server.keep()
        self._worker.keep()
        running = self._running()
        if running is not None and running != self._known:
            self._known = running
            logger.info("Tiled serves %s at %s", self.layout.root, running.uri)
            if self.profile is not None and not (self.shared and not self.shared.reader):
                write_profile(self.layout, running.uri, str(self.api_key), name=self.profile)

    def _wait_for_view(self) -> None:
        if not self.serving:
            logger.warning("%s", self._server.awaited)
        self.ready()
        try:
            drained = self.wait_drained(timeout=self.patience)
        except CatalogError as error:  # one bad run must not hide the others
            logger.warning("%s", error)
            return
        if not drained:
            logger.warning(
                "Tiled is still %d documents behind: what you see is incomplete (%s)",
                self.behind(), self.last_error() or "delivery is under way",
            )  # fmt: skip


def _elsewhere(shared: SharedCatalog) -> Elsewhere:
    from ._elsewhere import Elsewhere  # its HTTP client is loaded only where there is one

    return Elsewhere(shared)
