"""One Micro-Manager core for all devices of a configuration, and how it is called."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from pydantic_core import core_schema

from rdaq_ophyd.errors import MicroManagerError, RdaqError

from ._mm_lane import Lane

logger = logging.getLogger(__name__)
#: Variable of the environment that names the folder of device adapters.
ADAPTERS = "MICROMANAGER_PATH"
_CORE = "Core"
_LOAD = 120.0  # s: controllers are searched and homed while a configuration is loaded
_CLOSE = 10.0  # s
_opened: weakref.WeakValueDictionary[str, MicroManager] = weakref.WeakValueDictionary()
_opened_lock = threading.Lock()
_shared: weakref.WeakValueDictionary[Path, MicroManager] = weakref.WeakValueDictionary()


class MicroManager:
    """Micro-Manager's core with one configuration; every device of it is given this object.

    The adapters are loaded when the first device connects, and unloaded when the last one is closed. The core's
    *auto-shutter* is switched off: no camera opens a shutter by itself.

    :param config: a configuration file of Micro-Manager, or its devices as ``{label: (adapter library, device)}``.
    :param adapters: folder of the device adapters: where Micro-Manager is installed; None: ``$MICROMANAGER_PATH``.
    :param buffer_mb: memory of the buffer for images, shared by all cameras, MB.
    :param timeout: for a call into an adapter, s.
    """

    def __init__(
        self,
        config: Path | str | Mapping[str, tuple[str, str]],
        *,
        adapters: Path | str | None = None,
        buffer_mb: int = 256,
        timeout: float = 10.0,
    ) -> None:
        self._config = config if isinstance(config, Mapping) else Path(config)
        self._adapters = adapters
        self._buffer_mb = buffer_mb
        self.timeout = timeout
        self._module: Any = None
        self._core: Any = None
        self._lanes: dict[str, Lane] = {}
        self._libraries: dict[str, str] = {}
        self._holders: set[str] = set()
        self._acquiring: str | None = None
        self._stuck = False
        self._urgent: set[Future[Any]] = set()
        self._lock = threading.RLock()

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> core_schema.CoreSchema:
        """A TOML profile checks the options of a device with pydantic: there it is the path of a file."""
        return core_schema.is_instance_schema(cls)

    @classmethod
    def of(cls, mm: MicroManager | str) -> MicroManager:
        """``mm`` itself; for the path of a configuration file, the one that all who name that file share."""
        if isinstance(mm, MicroManager):
            return mm
        path = Path(mm).expanduser().absolute()
        with _opened_lock:
            found = _shared.get(path)
            if found is None:
                found = _shared[path] = cls(path)
            return found

    # -- opening --------------------------------------------------------------------------------------------

    def hold(self, label: str) -> None:
        """Load everything, if that was not done, and keep it loaded until :meth:`release`.

        :raises MicroManagerError: pymmcore, the adapters or the configuration are missing or do not fit, or the
            configuration has no device ``label``.
        """
        with self._lock:
            if self._core is None:
                self._open()
            if label not in self._libraries:
                known = ", ".join(sorted(self._libraries))
                self._close_unused()
                raise MicroManagerError(f"Micro-Manager has no device {label!r}", hint=f"it has {known}")
            if label in self._holders:
                raise MicroManagerError(
                    f"Micro-Manager's device {label!r} is in use by another device here",
                    hint="make one device for each label, or close the other one",
                )
            self._holders.add(label)

    def release(self, label: str) -> None:
        """The device is closed. Unloads everything after the last one; idempotent."""
        with self._lock:
            self._holders.discard(label)
            self._close_unused()

    def _open(self) -> None:
        try:
            self._module = importlib.import_module("pymmcore")
        except ImportError as error:
            raise MicroManagerError(
                "Micro-Manager's devices need the package pymmcore, which is not installed",
                hint="pip install 'rdaq-ophyd[micromanager]'",
            ) from error
        if self._stuck:
            raise MicroManagerError(
                "Micro-Manager cannot be loaded again: a call into it never returned", hint="restart this process"
            )
        folder = self._folder()
        key = str(self._config)
        with _opened_lock:
            if _opened.setdefault(key, self) is not self:
                raise MicroManagerError(
                    f"Micro-Manager's configuration {key} is loaded already in this session",
                    hint="give one MicroManager object to all of its devices",
                )
        core = self._module.CMMCore()
        lane = self._lanes[_CORE] = Lane(_CORE)
        try:
            lane.call(lambda: self._load(core, folder), _LOAD)
        except BaseException:
            self._core = core
            self._close_unused()
            raise
        self._core = core

    def _folder(self) -> Path:
        named = self._adapters or os.environ.get(ADAPTERS)
        if not named:
            raise MicroManagerError(
                "where Micro-Manager's device adapters are is not known",
                hint=f"install Micro-Manager and give adapters=FOLDER, or set {ADAPTERS}",
            )
        folder = Path(named)
        if not folder.is_dir():
            raise MicroManagerError(
                f"{folder}, the folder of Micro-Manager's device adapters, does not exist",
                hint=f"give adapters= or {ADAPTERS} the folder where Micro-Manager is installed",
            )
        return folder

    def _load(self, core: Any, folder: Path) -> None:
        core.setDeviceAdapterSearchPaths([str(folder)])
        found = core.getDeviceAdapterNames()
        if not found:
            raise MicroManagerError(
                f"{folder} has no device adapters of Micro-Manager",
                hint="give the folder with the files mmgr_dal_… or libmmgr_dal_…",
            )
        fits = f"adapters must be built for {core.getAPIVersionInfo()}; in {folder}: {', '.join(sorted(found))}"
        with translated("Micro-Manager's configuration cannot be loaded", fits):
            if isinstance(self._config, Mapping):
                for label, (library, device) in self._config.items():
                    core.loadDevice(label, library, device)
                core.initializeAllDevices()
            else:
                core.loadSystemConfiguration(str(self._config))
            core.setAutoShutter(False)
            core.setCircularBufferMemoryFootprint(self._buffer_mb)
        self._libraries = {label: core.getDeviceLibrary(label) for label in core.getLoadedDevices() if label != _CORE}

    def _close_unused(self) -> None:
        if self._holders or self._core is None:
            return
        core, self._core = self._core, None
        lanes, self._lanes, self._libraries = self._lanes, {}, {}
        ended = [lane.close(_CLOSE) for lane in lanes.values()]
        # Nothing may be unloaded under a call: a stop may be under way in a thread of its own.
        if not all(ended) or futures.wait(set(self._urgent), _CLOSE).not_done:
            self._stuck = True
            logger.error("Micro-Manager: a call did not return within %.0f s; its devices stay loaded", _CLOSE)
            return
        with translated("Micro-Manager's devices cannot be unloaded"):
            core.unloadAllDevices()
        with _opened_lock:
            if _opened.get(str(self._config)) is self:
                del _opened[str(self._config)]

    # -- calling --------------------------------------------------------------------------------------------

    @property
    def core(self) -> Any:
        """pymmcore's CMMCore. Calls to a device go through :meth:`call`, or hold the lock of its lane.

        :raises MicroManagerError: no device is connected.
        """
        if self._core is None:
            raise MicroManagerError("Micro-Manager is not loaded", hint="connect one of its devices first")
        return self._core

    @property
    def module(self) -> Any:
        """pymmcore."""
        return self._module

    def lane(self, label: str) -> Lane:
        """The thread for the adapter library of a device."""
        library = self._libraries.get(label, _CORE)
        if (lane := self._lanes.get(library)) is not None:
            return lane  # without the lock: somebody may hold it who waits for a device
        with self._lock:
            if self._core is not None and library not in self._lanes:
                self._lanes[library] = Lane(library)
            if library not in self._lanes:
                raise MicroManagerError("Micro-Manager is not loaded", hint="connect one of its devices first")
            return self._lanes[library]

    def call[T](self, label: str, what: str, call: Callable[[Any], T], timeout: float | None = None) -> T:
        """The result of ``call(core)`` for a device, from any thread that may wait.

        :param what: what failed, for the message.
        :raises MicroManagerError: the adapter said no, or nothing in time.
        """
        return self.lane(label).call(lambda: self._run(what, call), self.timeout if timeout is None else timeout)

    async def ask[T](self, label: str, what: str, call: Callable[[Any], T], timeout: float | None = None) -> T:
        """The same on an event loop; what is cancelled while it waits is never sent."""
        return await self.lane(label).ask(lambda: self._run(what, call), self.timeout if timeout is None else timeout)

    def _run[T](self, what: str, call: Callable[[Any], T]) -> T:
        with translated(what):
            return call(self.core)

    def now[T](self, label: str, what: str, call: Callable[[Any], T]) -> Future[T]:
        """Call past all that waits, in a thread of its own: a stop. Waits for nothing.

        A call of the same adapter library that is under way is waited for inside of MMCore.
        """
        future: Future[T] = Future()
        self._urgent.add(future)
        future.add_done_callback(self._urgent.discard)

        def run() -> None:
            try:
                result = self._run(what, call)
            except BaseException as error:  # noqa: BLE001  it reaches whoever confirms the stop
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name=f"micromanager stop {label}", daemon=True).start()
        return future

    # -- the one buffer for images --------------------------------------------------------------------------

    def claim(self, label: str) -> None:
        """The buffer for images is that of this camera until :meth:`unclaim`.

        :raises MicroManagerError: another camera acquires.
        """
        with self._lock:
            if self._acquiring not in (None, label):
                raise MicroManagerError(
                    f"Micro-Manager's camera {label!r} cannot start while {self._acquiring!r} acquires",
                    hint="one core has one buffer: take frames one after the other, or use pylon or PVCAM directly",
                )
            self._acquiring = label

    def unclaim(self, label: str) -> None:
        """It no longer acquires."""
        with self._lock:
            if self._acquiring == label:
                self._acquiring = None


@contextlib.contextmanager
def translated(what: str, hint: str = "see Micro-Manager's log, or try it in Micro-Manager itself") -> Iterator[None]:
    """Turn what pymmcore raises into an error that says what to do."""
    try:
        yield
    except RdaqError:
        raise
    except (RuntimeError, OSError, ValueError, IndexError, TypeError) as error:
        text = " ".join(str(error).split())
        raise MicroManagerError(f"{what}: {text}", hint=hint) from error
