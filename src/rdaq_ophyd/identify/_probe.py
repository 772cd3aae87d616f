"""Asks on one port, bounded, and says what answered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NoReply
from dataclasses import dataclass, field

from rdaq_ophyd.errors import BadReply, LinkError, PortBusy, ReplyTimeout
from rdaq_ophyd.link import Link, SerialSettings, make_link

from ._probes import PROBES, Kind, Probe, Question

MOST_AT_ONCE = 8
"""Ports that are asked at the same time."""
MARGIN = 3.0
"""Seconds beyond a question's own in which the link must have given up."""


@dataclass(frozen=True)
class Answer:
    """An instrument that was recognised.

    :ivar said: its reply.
    :ivar baudrate: at which it answered; 0 over TCP.
    :ivar address: on a bus; empty elsewhere.
    """

    kind: Kind
    said: str
    baudrate: int
    address: str = ""

    def __str__(self) -> str:
        at = f" at address {self.address}" if self.address else ""
        rate = f" ({self.baudrate} baud)" if self.baudrate else ""
        return f"{self.kind.what}{at}{rate}: {self.said}"


@dataclass
class PortReport:
    """What is known of a port afterwards.

    :ivar answers: the instruments there; several on a bus.
    :ivar heard: what came instead of a known answer.
    :ivar error: why it was not asked.
    """

    url: str
    answers: list[Answer] = field(default_factory=list)
    heard: bytes = b""
    error: LinkError | None = None

    @property
    def busy(self) -> bool:
        """Whether another program holds it."""
        return isinstance(self.error, PortBusy)


class _Listening:
    """A reply ends with the first line that fits a pattern; what comes before (an echo) is kept."""

    def __init__(self, patterns: Sequence[re.Pattern[str]]) -> None:
        self.patterns = patterns
        self.heard = b""

    def cut(self, buffer: bytearray) -> bytes | None:
        """The first whole line that fits one of the patterns."""
        self.heard = bytes(buffer)
        *lines, _ = re.split(rb"[\r\n]", self.heard)
        for line in lines:
            text = line.decode("ascii", "replace").strip()
            if text and any(pattern.fullmatch(text) for pattern in self.patterns):
                buffer.clear()
                return text.encode()
        return None


def identify(url: str, probes: Iterable[Probe] = PROBES) -> PortReport:
    """Ask on one port until something is recognised. It is opened exclusively: one in use is not asked. Blocks.

    :param url: serial port, ``usb:`` name, or ``tcp://host:port``.
    :param probes: what is asked, in this order.
    """
    report = PortReport(url)
    asked: set[tuple[Question, ...]] = set()
    for probe in probes:
        if "://" in url and probe.questions in asked:
            continue  # no baud rate to be changed there
        asked.add(probe.questions)
        link = make_link(url, SerialSettings(baudrate=probe.baudrate))
        try:
            link.open()
            report.answers = list(_ask(link, probe, report))
        except LinkError as error:
            report.error = error
        finally:
            link.close()
        if report.answers or report.error:
            break
    return report


def identify_all(urls: Sequence[str], probes: Iterable[Probe] = PROBES) -> Iterator[PortReport]:
    """The same for several ports side by side; reports come in the order of ``urls``."""
    chosen = tuple(probes)
    if not urls:
        return
    with ThreadPoolExecutor(min(MOST_AT_ONCE, len(urls)), thread_name_prefix="rdaq-identify") as pool:
        yield from pool.map(lambda url: identify(url, chosen), urls)


def _ask(link: Link, probe: Probe, report: PortReport) -> Iterator[Answer]:
    rate = 0 if "://" in link.url else probe.baudrate
    if probe.each:
        for question in probe.questions:
            said = _said(link, question, [kind.patterns()[0] for kind in probe.kinds], report)
            kind = next((k for k in probe.kinds if said and k.patterns()[0].fullmatch(said)), None)
            if said and kind:
                yield Answer(kind, said, rate, address=said[0])
        return
    replies: list[str] = []
    for number, question in enumerate(probe.questions):
        said = _said(link, question, [kind.patterns()[number] for kind in probe.kinds], report)
        if said is None:
            return
        replies.append(said)
    for kind in probe.kinds:
        if all(pattern.fullmatch(said) for pattern, said in zip(kind.patterns(), replies, strict=True)):
            yield Answer(kind, replies[0], rate)
            return


def _said(link: Link, question: Question, patterns: Sequence[re.Pattern[str]], report: PortReport) -> str | None:
    """The fitting reply; None where there was none."""
    for _ in range(question.attempts):
        if (said := _once(link, question, patterns, report)) is not None:
            return said
    return None


def _once(link: Link, question: Question, patterns: Sequence[re.Pattern[str]], report: PortReport) -> str | None:
    listening = _Listening(patterns)
    future = link.submit(question.text, reply=listening, timeout=question.seconds, safe=True)
    try:
        return future.result(question.seconds + MARGIN).decode()
    except (ReplyTimeout, BadReply, NoReply):
        future.cancel()
        report.heard = listening.heard or report.heard
        return None
