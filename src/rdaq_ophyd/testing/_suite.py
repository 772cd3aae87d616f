"""What every part of the suite has: the driver, its simulator, the hints, and how tests are made from them."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis.strategies import SearchStrategy
from ophyd_async.core import Device

from rdaq_ophyd.link import Line, Link, SerialLink, TcpLink
from rdaq_ophyd.signals import LineProtocol, LinkDevice
from rdaq_ophyd.sim import Instrument, Port, serve_pty

from ._hints import Emission, Motion
from ._impostors import Impostor
from ._members import find, one_of_each_kind, settings, walk

NOWHERE = "tcp://127.0.0.1:9"
"""The URL of a device that is only looked at."""
NO_MOTIONS = "it has no `motions`: nothing moves"
NO_EMISSIONS = "it has no `emissions`: nothing emits"


def quick_link(url: str, protocol: LineProtocol, late: float | None = None) -> Link:
    """A link to a simulated instrument, which is silent at once when it is silent.

    :param late: seconds after a time-out in which a late reply is awaited.
    """
    options: dict[str, Any] = {"reply": protocol.reply, "timeout": protocol.timeout, "quiet": 0.005, "late": late}
    return TcpLink(url, **options) if url.startswith("tcp://") else SerialLink(url, protocol.serial, **options)


class Suite(ABC):
    """The hints of a driver's author. ``simulate`` and ``make`` are needed, the rest where the driver has such a thing.

    :cvar motions: one for each part that moves.
    :cvar emissions: one for each setting that lets light or power out.
    :cvar hazards: regular expressions of command lines that move, open or emit and are not declared with ``Ask`` or
        ``Tell`` (a home search in a ``Do``).
    :cvar skip: signals that are not tried out as settings, by their dotted name, each with the reason.
    :cvar values: what is written to a setting, by its dotted name, where type and limits do not tell.
    :cvar changing: signals that change by themselves, by their dotted name, such as a status with an alarm bit; their
        values are not compared.
    :cvar local: signals that the driver keeps itself, by their dotted name: nothing is asked for them, so that they are
        no readings of the instrument.
    :cvar lag: seconds that the instrument may take until a setting reads back.
    """

    motions: ClassVar[Sequence[Motion]] = ()
    emissions: ClassVar[Sequence[Emission]] = ()
    hazards: ClassVar[Sequence[str]] = ()
    skip: ClassVar[Mapping[str, str]] = {}
    values: ClassVar[Mapping[str, SearchStrategy[Any]]] = {}
    changing: ClassVar[Collection[str]] = ()
    local: ClassVar[Collection[str]] = ()
    lag: ClassVar[float] = 0.0

    # -- needed -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def simulate(self) -> Instrument:
        """A fresh simulated instrument, the same one each time."""

    @abstractmethod
    def make(self, link: str | Link) -> LinkDevice:
        """The device at a URL, or on a link."""

    # -- where the driver has such a thing --------------------------------------------------------------------------

    async def prepare(self, device: Any) -> None:  # noqa: B027 (most need nothing)
        """Put the connected device into the state in which it is tested: motors on, a slow velocity."""

    def impostors(self) -> Iterable[Instrument]:
        """Instruments that the driver must refuse; one that answers each line with ``IMPOSTOR 1.0`` by default."""
        model = self.simulate()
        framing = self.made(NOWHERE).protocol.reply
        end = framing.end if isinstance(framing, Line) else model.terminator
        yield Impostor(b"IMPOSTOR 1.0" + end, terminator=model.terminator, baud=model.baud)

    def twin(self) -> Instrument | None:
        """Another instrument of the same kind, with another serial number; None where it cannot be told."""
        return None

    def serve(self, instrument: Instrument, folder: Path) -> Port:
        """Serve it: on a pseudo-terminal without the limit of its baud rate, unless overridden with ``serve_tcp``."""
        return serve_pty(instrument, lift_baud=True, link=folder / "instrument")

    def open_link(self, url: str) -> str | Link:
        """What the device is made with: a link, unless overridden with another one (one with faults), or the URL.

        Tests of what happens when a port comes back use the URL in any case.
        """
        return quick_link(url, protocol_of(type(self)))

    def made(self, link: str | Link) -> LinkDevice:
        """What ``make`` makes.

        :raises TypeError: it has no line on which its bytes could be seen, such as a camera.
        """
        device: object = self.make(link)
        if not isinstance(device, LinkDevice):
            raise TypeError(
                f"{type(self).__name__}: `make` gives a {type(device).__name__}, which is no LinkDevice. This suite "
                "reads the bytes on an instrument's line and pulls its cable; a camera, or a device without a line of "
                "its own, has none: test it by itself"
            )
        return device

    # -- how tests are made from them -------------------------------------------------------------------------------

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        """A test of a setting, a motion or an emission is one for each of them."""
        suite: Suite = (metafunc.cls or cls)()
        choices: Mapping[str, Callable[[], list[Any]]] = {
            "setting": suite._setting_params,
            "number": lambda: suite._setting_params(int, float),
            "text": lambda: suite._setting_params(str, otherwise="it has no settings that are texts"),
            "kind_of_number": lambda: suite._setting_params(int, float, alike=False),
            "motion": lambda: _params(suite.motions, NO_MOTIONS),
            "kind_of_motion": lambda: _params(suite._of_a_kind(suite.motions), NO_MOTIONS),
            "emission": lambda: _params(suite.emissions, NO_EMISSIONS),
            "kind_of_emission": lambda: _params(suite._of_a_kind(suite.emissions), NO_EMISSIONS),
        }
        for name in set(choices) & set(metafunc.fixturenames):
            metafunc.parametrize(name, choices[name]())

    def _of_a_kind[H: Motion | Emission](self, hints: Sequence[H]) -> list[H]:
        """Of axes and channels that are alike, the first."""
        device = self.made(NOWHERE)
        known = {hint.part: part for hint in hints if isinstance(part := find(device, hint.part), Device)}
        kept = {id(known[path]) for path in one_of_each_kind(known)}
        return [hint for hint in hints if hint.part not in known or id(known[hint.part]) in kept]

    def _setting_params(self, *types: type, alike: bool = True, otherwise: str = "") -> list[Any]:
        device = self.made(NOWHERE)
        declared = settings(device)
        known = [setting.path for setting in declared]
        if stray := (set(self.skip) | set(self.values)) - set(known):
            raise ValueError(
                f"{type(self).__name__}: `skip` and `values` name no setting: {sorted(stray)}; there are {known}"
            )
        if stray := (set(self.changing) | set(self.local)) - set(dict(walk(device))):
            raise ValueError(f"{type(self).__name__}: `changing` and `local` name no signal: {sorted(stray)}")
        found = [setting.path for setting in declared if not types or setting.backend.datatype in types]
        if not alike:
            found = one_of_each_kind({s.path: s.signal for s in declared if s.path in found})
        params = [
            pytest.param(path, id=path, marks=[pytest.mark.skip(reason=self.skip[path])] if path in self.skip else [])
            for path in found
        ]
        otherwise = otherwise or ("it has no settings that are numbers" if types else "it has no settings")
        return params or [_nothing(otherwise)]


@functools.cache
def protocol_of(suite: type[Suite]) -> LineProtocol:
    """How the suite's driver talks; a device is made for that once."""
    return suite().made(NOWHERE).protocol


def _params(hints: Sequence[Motion] | Sequence[Emission], otherwise: str) -> list[Any]:
    return [pytest.param(hint, id=hint.title) for hint in hints] or [_nothing(otherwise)]


def _nothing(why: str) -> Any:
    return pytest.param(None, id="none", marks=pytest.mark.skip(reason=why))
