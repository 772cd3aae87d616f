"""An instrument from a file: what a driver would be, made from one TOML file that describes it."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from rdaq_ophyd.declaration import Declaration, find, load, safer
from rdaq_ophyd.devices._confirm import stop_each
from rdaq_ophyd.devices._declared_class import make_class
from rdaq_ophyd.devices._declared_part import DeclaredPart
from rdaq_ophyd.errors import BadReply, DeclarationError, LimitError, UnknownName, WrongInstrument
from rdaq_ophyd.link import Link, SerialSettings

logger = logging.getLogger(__name__)

__all__ = ["Declared", "DeclaredPart", "declared"]


class Declared(DeclaredPart):
    """The base of every instrument from a file; ``declared(file)`` makes the class.

    Its signals and commands are attributes, by the names in the file. Channels are parts: ``smu.output_1``.

    :param link: URL of the port (``/dev/serial/by-id/…``, ``tcp://host:port``, ``visa://…``), or a link.
    :param name: of the device; that in the file unless given.
    :param address: on a bus, where the file declares one.
    :param serial: line settings other than those of the file.
    :param limits: lowest and highest value that may be set, within those of the file: by the names of settings
        (``{"voltage": (0, 1), "output_1.current": (0, 0.1)}``), or those of what moves.
    :param safe: what makes it safe here, where that is not what its file says: keys of the table ``safe_state``, and
        ``may_power_off`` to allow its last resort; for a part in a table of its own,
        ``{"output_1": {"tell": ["RANGE 1,0"]}}``.
    :raises LimitError: these are no limits, or not of such a setting.
    :raises UnknownName: ``limits`` of a part or setting that there is not.
    :raises DeclarationError: ``safe`` is not what a safe state can be, or of a part that there is not.
    :raises TypeError: an address is missing, or the file knows none.
    """

    groups: ClassVar[Mapping[str, type[DeclaredPart]]] = {}

    def __init__(
        self,
        link: Link | str,
        name: str = "",
        *,
        address: str | int | None = None,
        serial: SerialSettings | None = None,
        limits: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
        safe: Mapping[str, Any] | None = None,
    ) -> None:
        wanted, instrument = self.declaration.link.address, self.declaration.instrument.name
        if (address is None) is bool(wanted):
            raise TypeError(f"{instrument}: " + (f"needs {wanted}=…, give address" if wanted else "has no address"))
        self.parts: dict[str, DeclaredPart] = {}
        for group, kind in self.groups.items():
            for channel, texts in self.declaration.group[group].channels.items():
                part = kind(link, address, serial=serial, texts={**texts, "channel": channel})
                self.parts[f"{group}_{channel}".lower()] = part
        for part_name, part in self.parts.items():
            setattr(self, part_name, part)
        self.add_readables(list(self.parts.values()))
        super().__init__(link, address, name or instrument, serial=serial)
        for setting, pair in self._named(limits).items():
            which, _, last = setting.rpartition(".")
            if which and which not in self.parts:
                raise UnknownName.among(f"part of {instrument}", which, self.parts)
            (self.parts[which] if which else self).tighten(last, pair)
        self._make_safe(safe or {}, instrument)

    def _make_safe(self, safe: Mapping[str, Any], instrument: str) -> None:
        own = {key: value for key, value in safe.items() if not isinstance(value, Mapping)}
        if own:
            self.make_safe_by(safer(self.declaration, None, own))
        for part, keys in safe.items():
            if part in own:
                continue
            if part not in self.parts:
                guess = UnknownName.among(f"part of {instrument}", part, self.parts)
                raise DeclarationError(f"safe: {guess.what}", hint=guess.hint)
            group = next(name for name in self.groups if isinstance(self.parts[part], self.groups[name]))
            self.parts[part].make_safe_by(safer(self.declaration, group, keys))

    def _named(self, limits: Any) -> Mapping[str, tuple[float, float]]:
        if limits is None or isinstance(limits, Mapping):
            return limits or {}
        if self.scope.movable is None:
            what = f"{self.declaration.instrument.name}: limits {limits!r} of what? as a whole it does not move"
            raise LimitError(what, hint="name the setting: limits = { voltage = [0, 1] }")
        return {self.scope.movable.setpoint: limits}

    @staticmethod
    def from_file(
        source: str | Path,
        link: Link | str,
        name: str = "",
        *,
        address: str | int | None = None,
        serial: SerialSettings | None = None,
        limits: tuple[float, float] | Mapping[str, tuple[float, float]] | None = None,
        safe: Mapping[str, Any] | None = None,
    ) -> Declared:
        """A device of the class that ``declared(source)`` makes; parameters as there and here."""
        made: Declared = declared(source)(link, name, address=address, serial=serial, limits=limits, safe=safe)
        return made

    async def handshake(self) -> None:
        """Make sure that it is this instrument, and forget errors from before.

        :raises WrongInstrument: its answer is not the one that the file describes.
        """
        identity = self.declaration.identity
        if identity is not None:
            for text in identity.prepare:
                await self.channel.tell(text, safe=True)
            await self._identify()
        try:
            faults = await self.empty_errors()
        except BadReply as error:
            raise WrongInstrument(
                f"{self.name}: {self.channel.url} is no {self._what}: {error.what}",
                hint="is the port the right one? `rdaq doctor` lists what answers where",
            ) from error
        for fault in faults:
            logger.info("%s: error %d (%s) is from before", self.name, fault.code, fault.cause)

    async def identity(self) -> Mapping[str, str]:
        """The named groups of ``identity.pattern``: model, serial number, firmware."""
        return {} if self.declaration.identity is None else await self._identify()

    @property
    def _what(self) -> str:
        return f"{self.declaration.instrument.manufacturer} {self.declaration.instrument.model}"

    async def _identify(self) -> Mapping[str, str]:
        identity = self.declaration.identity
        if identity is None:
            return {}
        said = await self.channel.ask(identity.ask)
        found = re.fullmatch(identity.pattern, said)
        if found is None:
            raise WrongInstrument(
                f"{self.name}: {self.channel.url} is no {self._what}; to {identity.ask!r} it said {said!r}",
                hint="is the port the right one? `rdaq doctor` lists what answers where",
            )
        return {what: value for what, value in found.groupdict().items() if value is not None}

    def note_stop(self) -> None:
        """Moves of all channels end as interrupted."""
        super().note_stop()
        for part in self.parts.values():
            part.note_stop()

    async def stop(self, success: bool = False) -> None:
        """Stop the instrument and each of its channels, as its file says.

        :raises StopUnconfirmed: one did not confirm it; all were told to.
        """
        await stop_each([super().stop(success), *(part.stop(success) for part in self.parts.values())])


def declared(source: str | Path) -> type[Any]:
    """The class for an instrument that is described in a file; the same one as long as the file stays as it is.

    :param source: path of the file, or the name of one that comes with this package: ``keithley_2450``.
    :raises UnknownName: there is no such file.
    :raises DeclarationError: the file is not what it must be; names file, line and reason.
    """
    path = find(source).resolve()
    return _made(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _made(path: Path, changed: int) -> type[Any]:  # noqa: ARG001 - a part of the key
    return class_of(load(path))


def class_of(declaration: Declaration) -> type[Any]:
    """The class for a declared instrument."""
    instrument = declaration.instrument
    name = "".join(word.title() for word in instrument.name.split("_"))
    groups = {
        group: make_class(f"{name}{group.title()}", declaration, table, DeclaredPart, table.doc)
        for group, table in declaration.group.items()
    }
    doc = f"{instrument.manufacturer} {instrument.model}. {instrument.description}".strip()
    made = make_class(name, declaration, declaration, Declared, doc)
    made.groups = groups
    made.heartbeat = declaration.link.heartbeat
    made.heartbeat_period = declaration.link.heartbeat_period
    return made
