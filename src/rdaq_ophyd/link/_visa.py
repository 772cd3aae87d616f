"""An instrument behind VISA (``visa://GPIB0::12::INSTR``): GPIB, USB-TMC, VXI-11, and what else such a library reaches.

What can be reached without it (a serial port, a TCP socket) is better reached so.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any
from urllib.parse import parse_qsl

from rdaq_ophyd.errors import LinkError, PortBusy, PortNotFound, PortNotPermitted

from ._exchanger import SLICE
from ._lane import Lane
from ._link import Link
from ._port_errors import vanished
from ._serial import SerialSettings

SCHEME = "visa://"
WRITE_TIMEOUT = 1.0
"""Seconds after which a write that the instrument does not take fails."""
CONNECT_TIMEOUT = 5.0
"""Seconds to wait until the resource is open."""
LATE = 0.05
"""Seconds without a byte that count as silence where there is no device clear."""
_STREAM = re.compile(r"ASRL.*|TCPIP\d*::.*::SOCKET", re.IGNORECASE)


def is_stream(url: str) -> bool:
    """Whether bytes may be written to the instrument while it owes a reply, as far as the link goes.

    True for serial lines and sockets. GPIB, USB-TMC and VXI-11 carry messages, in which a command that comes before the
    reply was fetched cancels that reply (IEEE 488.2, 6.3.2.3).
    """
    return not url.startswith(SCHEME) or _STREAM.fullmatch(_split(url)[0]) is not None


def _split(url: str) -> tuple[str, str]:
    resource, _, query = url.removeprefix(SCHEME).partition("?")
    return resource, query


def _resource(url: str) -> tuple[str, str]:
    """Resource and library in ``visa://RESOURCE?library=@py``."""
    resource, query = _split(url)
    options = dict(parse_qsl(query, keep_blank_values=True))
    library = options.pop("library", "")
    if not resource or options:
        raise PortNotFound(f"{url}: not a VISA address", hint="write visa://RESOURCE or visa://RESOURCE?library=@py")
    return resource, library


class VisaLink(Link):
    """A link over a VISA library: the one that is installed, or pyvisa-py (pure Python).

    On a bus of messages one read is one whole reply, nothing is read that was not asked for, and getting back into step
    is a device clear. Such a link does not preempt: a stop goes after the exchange in flight.

    :param url: ``visa://RESOURCE``, with ``?library=@py`` for a library other than pyvisa's own choice.
    :param settings: of the line, for serial resources.
    """

    def __init__(self, url: str, settings: SerialSettings | None = None, **options: Any) -> None:
        super().__init__(url, **options)
        self.settings = settings or SerialSettings()
        self._stream = is_stream(url)
        self._slice = SLICE if self._stream else float("inf")
        self._device: Any = None
        self._owed = False

    def preempt(self, command: bytes, *, safe: bool = True) -> None:
        """Write ``command`` past all that waits; on a bus of messages, after the exchange in flight.

        :raises LinkClosed: the link is not open, or its port vanished.
        """
        if self._stream:
            super().preempt(command, safe=safe)
        else:
            self.submit(command, reply=False, lane=Lane.URGENT, safe=safe)

    def _ready(self) -> bool:
        # On a bus of messages a halt waits for its turn, which is left to a thread.
        return self._stream

    def _open(self) -> None:
        try:
            import pyvisa
        except ImportError:
            raise LinkError(f"{self.url}: pyvisa is not installed", hint="pip install 'rdaq-ophyd[visa]'") from None
        resource, library = _resource(self.url)
        try:
            manager = pyvisa.ResourceManager(library)
            device = manager.open_resource(resource, open_timeout=int(CONNECT_TIMEOUT * 1000))
        except (pyvisa.errors.Error, OSError, ValueError) as error:
            raise _opening_failed(self.url, error) from error
        try:
            self._prepare(device)
        except Exception as error:  # whatever the library or the system below it calls a setting that it cannot have
            with contextlib.suppress(pyvisa.errors.Error):
                device.close()
            raise _opening_failed(self.url, error) from error
        self._device, self._owed = device, False

    def _prepare(self, device: Any) -> None:
        from pyvisa import constants

        if device.interface_type != constants.InterfaceType.asrl:
            return
        s, stop_bits, flow = self.settings, constants.StopBits, constants.ControlFlow
        device.baud_rate, device.data_bits = s.baudrate, s.bytesize
        device.parity = constants.Parity("NOEMS".index(s.parity))
        device.stop_bits = {1: stop_bits.one, 1.5: stop_bits.one_and_a_half}.get(s.stopbits, stop_bits.two)
        device.flow_control = flow.rts_cts if s.rtscts else flow.xon_xoff if s.xonxoff else flow.none
        # All ends are those of the protocol above: the library shall neither add nor wait for any.
        device.set_visa_attribute(constants.ResourceAttribute.asrl_end_in, constants.SerialTermination.none)
        device.set_visa_attribute(constants.ResourceAttribute.asrl_end_out, constants.SerialTermination.none)

    def _read(self, seconds: float) -> bytes:
        import pyvisa

        device = self._device
        if device is None:
            raise vanished(self.url, OSError("the resource is not open"))
        if seconds <= 0 and not self._stream:
            return b""  # the one read of this message has waited for it already
        try:
            device.timeout = max(1, int(seconds * 1000))
            data: bytes = device.read_bytes(1) if self._stream else device.read_raw()
        except pyvisa.errors.VisaIOError as error:
            if error.error_code == pyvisa.constants.StatusCode.error_timeout:
                self._owed = True
                return b""
            raise vanished(self.url, error) from error
        except (pyvisa.errors.Error, OSError) as error:
            raise vanished(self.url, error) from error
        # The end of a message is the end of a reply, whether the instrument also sends an end mark or not.
        return data if self._stream or data.endswith((b"\n", b"\r")) else data + b"\r\n"

    def _stray(self, seconds: float) -> bytes:
        if self._stream:
            return self._read(seconds)
        if self._owed:
            self._owed = False
            self._clear()
        return b""

    def _clear(self) -> None:
        """Forget the reply that is owed: by a device clear, or where there is no such thing, by reading it."""
        import pyvisa

        try:
            self._device.clear()
        except (pyvisa.errors.VisaIOError, NotImplementedError) as error:
            if getattr(error, "error_code", None) not in {
                None,
                pyvisa.constants.StatusCode.error_nonsupported_operation,
            }:
                raise vanished(self.url, error) from error
            while self._read(LATE):
                pass
            self._owed = False

    def _write(self, data: bytes) -> None:
        import pyvisa

        device = self._device
        if device is None:
            raise vanished(self.url, OSError("the resource is not open"))
        try:
            device.timeout = int(WRITE_TIMEOUT * 1000)
            device.write_raw(data)
        except (pyvisa.errors.Error, OSError) as error:
            raise vanished(self.url, error) from error

    def _shut(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            import pyvisa

            with contextlib.suppress(pyvisa.errors.Error):  # the other end was faster
                device.close()


def _opening_failed(url: str, error: Exception) -> LinkError:
    """The error for a resource that could not be opened."""
    name = getattr(getattr(error, "error_code", None), "name", "")
    if name in {"error_resource_busy", "error_resource_locked"}:
        return PortBusy(f"{url}: somebody else holds this resource", hint="close the other program that uses it")
    if name == "error_no_permission":
        return PortNotPermitted(f"{url}: you may not open this resource", hint="Linux: is there a udev rule for it?")
    return PortNotFound(
        f"{url}: cannot be opened: {error}", hint="`pyvisa-info` and `pyvisa-shell` tell what the library finds"
    )
