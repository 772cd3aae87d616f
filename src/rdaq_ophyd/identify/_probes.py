"""What is asked on a port whose instrument is not known, in which order, and why that does no harm.

All of it are questions. None is a command of any instrument in this table, and none changes a setting:

- The ESP300, which moves, comes first and at its own baud rate: it hears nothing before the question that it knows.
  If it is mute, what it hears later is at another baud rate, and nothing of it ends with CR; at worst an error 6 (no
  such command) waits in its error queue, which its driver empties.
- ``VE?`` at 19200 baud is a few wrong bytes to an instrument at 9600. The LF before the next question ends them: a
  command error in the Mai Tai's error buffer, or in the status byte of the 1830-C, which its driver clears.
- ``*IDN?`` is defined by IEEE 488.2 to change nothing. The 1830-C notes a command error. It contains no small
  letters, and each command of the ELL14 is two of those after an address, so that no text of the other probes can be
  one.
- ``W?`` and ``Q?`` read a wavelength and a status; ``Q?`` does not clear it.
- ``in`` of the ELL14 reads what it is. It comes last, because the others keep it as the beginning of a line that they
  never get the end of.

An unfinished command that another program left in an instrument is ended by the LF of a question, as by any driver's
first line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """One question and what its reply must contain.

    :param text: the bytes to send.
    :param seconds: to wait for the reply.
    :param attempts: how often it is asked: twice where the first may only end what an earlier program left unfinished.
    """

    text: bytes
    seconds: float = 0.8
    attempts: int = 1


@dataclass(frozen=True)
class Kind:
    """One kind of instrument that may answer.

    :param what: for people.
    :param replies: a pattern for the reply to each question, for one line without its end.
    :param device: its class in a TOML profile; empty where this package has no driver.
    :param name: for the device in a new profile.
    :param run: against what this fingerprint was run; empty: against nothing.
    """

    what: str
    replies: tuple[str, ...]
    device: str = ""
    name: str = "device"
    run: str = ""

    def patterns(self) -> tuple[re.Pattern[str], ...]:
        """The same, compiled."""
        return tuple(re.compile(reply) for reply in self.replies)


@dataclass(frozen=True)
class Probe:
    """Questions at one baud rate, and whose replies are known.

    :param kinds: the first that fits counts.
    :param each: every question is asked, and each reply stands for an instrument of its own (a bus); otherwise the
        first question without a fitting reply ends it, and all of them must have one.
    """

    baudrate: int
    questions: tuple[Question, ...]
    kinds: tuple[Kind, ...]
    each: bool = False


_SCPI = (
    Kind("Spectra-Physics Mai Tai", (r"Spectra[ -]Physics,\s*MaiTai.*",), "maitai", "laser", "its simulator"),
    Kind("instrument that knows *IDN?", (r"[^,]+,[^,]*,[^,]*(,.*)?",), run="a simulated answer"),
)
ELL14_BUS = "rdaq_ophyd.devices.ell14.Ell14Bus"
_ELL_ADDRESSES = "0123456789ABCDEF"

PROBES: tuple[Probe, ...] = (
    # ESP300 manual, command VE; 19200 baud is fixed.
    Probe(
        19200,
        (Question(b"VE?\r", attempts=2),),
        (Kind("Newport ESP300", (r"ESP\d{3,4} .*[Vv]ersion.*",), "esp300", "stage", "its simulator"),),
    ),
    Probe(9600, (Question(b"\n*IDN?\n"),), _SCPI),
    # 1830-C manual: no identification; a wavelength of four digits, and a status byte.
    Probe(
        9600,
        (Question(b"\nW?\n"), Question(b"Q?\n")),
        (
            Kind(
                "Newport 1830-C",
                (r"0[3-9]\d\d|10\d\d|1100", r"\d{1,3}"),
                "newport_1830c",
                "power_meter",
                "its simulator",
            ),
        ),
    ),
    # The Mai Tai's USB port, and most instruments with one.
    Probe(115200, (Question(b"\n*IDN?\n"),), _SCPI),
    # Elliptec protocol manual, command "in": 33 characters take 35 ms.
    Probe(
        9600,
        tuple(Question(f"{address}in".encode(), 0.2) for address in _ELL_ADDRESSES),
        (
            Kind("Thorlabs ELL14", (r"[0-9A-F]IN0E[0-9A-F]{28}",), ELL14_BUS, "rotators", "its simulator"),
            Kind("Thorlabs Elliptec device", (r"[0-9A-F]IN[0-9A-F]{30}",), run=""),
        ),
        each=True,
    ),
)
"""In the order in which they are asked; add your own at the end."""
