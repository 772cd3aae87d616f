"""Thorlabs Elliptec ELL14: rotation mounts with a resonant piezo motor, up to 16 on one serial line.

Manual: *ELLx modules protocol manual* and *ELL14 data sheet* (Thorlabs).

Run against: own simulator, which two third-party clients also drive; not on hardware.
"""

from __future__ import annotations

import keyword
from collections.abc import Collection, Mapping
from typing import ClassVar

from ophyd_async.core import AsyncStatus, StandardReadable

from rdaq_ophyd.capabilities import StopCapability, StopMeans
from rdaq_ophyd.devices._confirm import stop_each
from rdaq_ophyd.devices._ell14_base import Ell14Device
from rdaq_ophyd.devices._ell14_discovery import discover, scan
from rdaq_ophyd.devices._ell14_group import move_together
from rdaq_ophyd.devices._ell14_info import Info, MotorInfo
from rdaq_ophyd.devices._ell14_protocol import ADDRESSES
from rdaq_ophyd.devices._ell14_rotator import Ell14
from rdaq_ophyd.devices._ell14_supply import MOVERS, Supply
from rdaq_ophyd.errors import UnknownName
from rdaq_ophyd.link import Link, SerialSettings

__all__ = ["Ell14", "Ell14Bus", "Info", "MotorInfo", "discover"]

OWN = {"channel", "connection", "movers", "name", "parent"}
"""What a bus has besides what its class tells."""


class Ell14Bus(Ell14Device, StandardReadable):
    """The bus with its rotators as attributes: ``Ell14Bus(url, {"0": "polariser", "3": "analyser"}).polariser``.

    :param link: URL of the port, e.g. ``/dev/serial/by-id/…`` or ``tcp://host:port``, or a link.
    :param rotators: the name of each rotator in use, by its address, ``0`` to ``F``.
    :param name: of the device; rotators are named after it: ``bus-polariser``.
    :param movers: how many motors the supply of the bus feeds at once; further moves wait for their turn.
    :param limits: lowest and highest target of a rotator in degrees, by its address; see ``Ell14``.
    :param segment: longest single move in degrees, of all rotators; see ``Ell14``.
    :param serial: line settings other than 9600 8N1.
    """

    stop_capability: ClassVar[StopCapability] = StopCapability(
        StopMeans.BETWEEN_MOVES,
        None,
        "moves that began run to their end; jogs without an end and cleaning stop at once",
    )

    def __init__(
        self,
        link: Link | str,
        rotators: Mapping[str, str],
        name: str = "",
        *,
        movers: int = MOVERS,
        limits: Mapping[str, tuple[float, float]] | None = None,
        segment: float | None = None,
        serial: SerialSettings | None = None,
    ) -> None:
        if not rotators:
            raise ValueError("an Ell14Bus needs at least one rotator, such as {'0': 'polariser'}")
        if movers not in range(1, len(ADDRESSES) + 1):
            raise ValueError(f"movers {movers}: a supply feeds at least one, and a bus has {len(ADDRESSES)} at most")
        self._check_names(rotators.values())
        limits = {address.upper(): both for address, both in (limits or {}).items()}
        addresses = [address.upper() for address in rotators]
        if len(set(addresses)) < len(addresses):
            raise ValueError(f"address given twice: rotators {', '.join(addresses)}")
        if stray := set(limits) - set(addresses):
            raise ValueError(f"limits: no rotator {', '.join(sorted(stray))} in use; rotators: {addresses}")
        self.movers = movers
        self._rotators = [
            Ell14(link, address, limits=limits.get(address), segment=segment, serial=serial) for address in addresses
        ]
        self._named = dict(zip(rotators.values(), self._rotators, strict=True))
        for rotator_name, rotator in self._named.items():
            setattr(self, rotator_name, rotator)
        self.add_readables(self._rotators)
        super().__init__(link, addresses[0], name, serial=serial)

    @classmethod
    def _check_names(cls, names: Collection[str]) -> None:
        for name in names:
            if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
                raise ValueError(f"rotator {name!r}: its name is one of Python, such as 'polariser'")
            if name in OWN or hasattr(cls, name):
                raise ValueError(f"rotator {name!r}: the bus has something of its own by that name; choose another")
        if len(set(names)) < len(names):
            raise ValueError(f"rotator named twice: {', '.join(names)}")

    @property
    def rotators(self) -> Mapping[str, Ell14]:
        """The rotators by the addresses that they have now."""
        return {rotator.address: rotator for rotator in self._rotators}

    async def handshake(self) -> None:
        """End what an earlier program left unfinished; the rotators say themselves who they are."""
        await self.channel.tell("", safe=True)
        Supply.of(self.channel.link).movers = self.movers

    def note_stop(self) -> None:
        """Moves of all rotators end as interrupted."""
        for rotator in self._rotators:
            rotator.note_stop()

    def halt(self) -> None:
        """Put a stop for each rotator in front of all that waits, from any thread. No further segment is sent."""
        for rotator in self._rotators:
            rotator.halt()

    async def stop(self, success: bool = False) -> None:
        """Stop every rotator as it can be stopped, and wait until all are free.

        :raises StopUnconfirmed: one was still busy after its time, or did not answer; all were told to stop.
        """
        await stop_each(rotator.stop(success) for rotator in self._rotators)

    async def discover(self, addresses: str = ADDRESSES) -> dict[str, Info]:
        """What answers on the bus, by address, in use here or not; takes 0.3 s for each address without a device."""
        return await scan(self.channel, addresses, self._rotators[0].address)

    def move_together(self, angle: float, names: Collection[str] | str = ()) -> AsyncStatus[None]:
        """Turn rotators to the same angle with one command, so that they begin in the same moment.

        With ``segment`` it is a series of such commands; that needs rotators that stand close together.

        :param angle: in degrees.
        :param names: attributes of this device, or one of them; empty for all.
        :raises UnknownName: no rotator has that name.
        :raises LimitError: the supply feeds fewer at once, their calibrations differ, one may not go there, or they
            stand too far apart for moves of ``segment``.
        """
        wanted = dict.fromkeys([names] if isinstance(names, str) else names or self._named)
        for name in wanted:
            if name not in self._named:
                raise UnknownName.among("rotator", name, self._named)
        chosen = [self._named[name] for name in wanted]
        return move_together(chosen, angle)
