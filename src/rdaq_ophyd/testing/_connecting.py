"""Connecting: names, sources, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from ophyd_async.core import Signal, SignalR

from rdaq_ophyd.errors import LinkClosed, PortNotFound, RdaqError, WrongInstrument
from rdaq_ophyd.sim import Instrument

from ._bench import ANSWER, SILENCE, Bench
from ._benched import Benched
from ._impostors import Impostor, Loopback
from ._loops import BOUND
from ._members import link_backend, link_devices, walk


class ConnectTests(Benched):
    """The right instrument is known, another one refused before a setting is sent to it."""

    def test_connects_and_every_signal_answers(self, shared_bench: Bench) -> None:
        """Each signal gives a value of the type that it was declared with."""
        for path, value in shared_bench.run(shared_bench.values()).items():
            backend = link_backend(shared_bench.part(path))
            datatype = backend.datatype if backend else None
            assert not isinstance(datatype, type) or isinstance(value, datatype), (
                f"{path}: reads {value!r}, declared as {datatype}"
            )

    def test_names_follow_the_device(self, idle_bench: Bench) -> None:
        """Every part has a name of its own that begins with that of the device, also after it was renamed."""
        device = idle_bench.device
        assert device.name, "`make` gives the device no name: write name='lamp'"
        device.set_name("renamed")
        names = {path: part.name for path, part in walk(device)}
        stray = {path: name for path, name in names.items() if not name.startswith("renamed")}
        assert not stray, f"not named after the device: {stray}; set_name has to reach every part"
        signals = [part.name for _, part in walk(device) if isinstance(part, Signal)]
        assert len(set(signals)) == len(signals), f"two signals have the same name: {sorted(signals)}"

    def test_sources_name_the_port(self, shared_bench: Bench) -> None:
        """A recorded source says which port."""
        sources = {path: signal.source for path, signal in shared_bench.readable.items()}
        url = shared_bench.device.channel.url
        assert all(url in source for source in sources.values()), f"a source does not name {url}: {sources}"

    def test_parts_of_a_kind_ask_for_different_things(self, idle_bench: Bench) -> None:
        """The velocity of one axis is not asked as that of the other: the place for its number was not forgotten."""
        asked: dict[tuple[type, str, str], str] = {}
        for path, device in link_devices(idle_bench.device).items():
            for name, child in device.children():
                if isinstance(child, Signal) and (backend := link_backend(child)) is not None:
                    source = backend.source(name, read=isinstance(child, SignalR))
                    other = asked.setdefault((type(device), name, source), path)
                    assert other == path, (
                        f"{path}.{name} and {other}.{name} have the same source, {source}: put into its text what "
                        f"tells the parts apart, such as {{axis}}"
                    )

    def test_other_instruments_are_refused(self, tmp_path: Path) -> None:
        """WrongInstrument, and no command reached it that it might take for one of its own."""
        for other in self.impostors():
            self._refused(tmp_path, other, WrongInstrument)

    def test_a_loopback_plug_is_refused(self, tmp_path: Path) -> None:
        """What comes back is the question itself."""
        model = self.simulate()
        self._refused(tmp_path, Loopback(b"", terminator=model.terminator, baud=model.baud), RdaqError)

    def test_a_silent_port_is_refused(self, tmp_path: Path) -> None:
        """In a bounded time, with an error that says so."""
        model = self.simulate()
        self._refused(tmp_path, Impostor(b"", terminator=model.terminator, baud=model.baud), RdaqError)

    def _refused(self, folder: Path, other: Instrument, error: type[RdaqError]) -> None:
        with Bench(self, folder, instrument=other) as bench:
            with bench.impatient(ANSWER if error is WrongInstrument else SILENCE):
                try:
                    bench.run(bench.device.connect(timeout=BOUND))
                except error:
                    pass
                except Exception as wrong:  # noqa: BLE001 (the test fails with it)
                    pytest.fail(
                        f"{type(other).__name__} {other.name!r}: refused with {wrong!r}, not with {error.__name__}; "
                        f"raise that in `handshake`"
                    )
                else:
                    pytest.fail(
                        f"{type(other).__name__} {other.name!r} was accepted: let `handshake` ask something that only "
                        f"the right instrument answers, and raise WrongInstrument"
                    )
            sent = bench.wire.unsafe(0)
            assert not sent, f"{other.name!r} got {sent} before it was known who it is; ask first"

    def test_a_port_that_is_not_there(self, idle_bench: Bench) -> None:
        """PortNotFound."""
        idle_bench.port.disconnect()
        with pytest.raises(PortNotFound):
            idle_bench.run(idle_bench.device.connect(timeout=BOUND))

    def test_closed_and_connected_again(self, own_bench: Bench) -> None:
        """A closed device gives its port back, says so when it is used, and can be connected again."""
        device = own_bench.device
        link = device.channel.link
        device.close()
        assert not link.is_open, "close() left the port open; an overridden close() has to call super().close()"
        for signal in own_bench.readable.values():
            with pytest.raises(LinkClosed):
                own_bench.run(signal.get_value(cached=False))
        own_bench.connect(again=True)
        own_bench.run(own_bench.values())
