"""What one run's file in the spool says, gathered in one pass, also where it is torn or damaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rdaq_ophyd.document_lines import Document, decode
from rdaq_ophyd.errors import CatalogError

from ._lock import is_held
from ._runfile import RunFileReader, RunHeader


@dataclass
class Stream:
    """The stream datums of one resource.

    :param path: the file.
    :param dataset: in it.
    :param key: data key.
    :param descriptor: of the datums.
    :param rows: that the documents tell of.
    :param shift: what a row's index lacks to the sequence number of its event; None before the first datum.
    """

    path: Path
    dataset: str
    key: str
    descriptor: str
    rows: int = 0
    shift: int | None = None


@dataclass
class SpooledRun:
    """The facts of one run's file.

    :param path: the file.
    :param header: its first line; None where not even that is whole.
    :param start: the start document.
    :param stop: the stop document.
    :param events: stream name -> events.
    :param recorded: uid of the descriptor -> events, where they come as documents of their own.
    :param streams: uid of the stream resource -> rows.
    :param last_time: of the last document that bears a time, s.
    :param torn: bytes after the last whole line.
    :param damaged: numbers of lines that are no documents.
    """

    path: Path
    header: RunHeader | None = None
    start: Document | None = None
    stop: Document | None = None
    events: dict[str, int] = field(default_factory=dict)
    recorded: dict[str, int] = field(default_factory=dict)
    streams: dict[str, Stream] = field(default_factory=dict)
    last_time: float = 0.0
    torn: int = 0
    damaged: list[int] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)
    _keys: dict[str, str] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        """The run."""
        return self.path.name.partition(".jsonl")[0]

    def owner_lives(self, owners: Path) -> bool:
        """Whether the process that writes this file is still there."""
        return self.header is not None and is_held(owners / self.header.owner)

    def take(self, name: str, document: Document) -> None:
        """Note what one document tells."""
        if isinstance(moment := document.get("time"), int | float):
            self.last_time = max(self.last_time, float(moment))
        match name:
            case "start":
                self.start = document
            case "stop":
                self.stop = document
            case "descriptor":
                self._names[document["uid"]] = document.get("name", "primary")
                self._keys.update(dict.fromkeys(document["data_keys"], document["uid"]))
                self.events.setdefault(document.get("name", "primary"), 0)
                if any("external" not in key for key in document["data_keys"].values()):
                    self.recorded.setdefault(document["uid"], 0)
            case "event" | "event_page":
                numbers = document["seq_num"] if name == "event_page" else [document["seq_num"]]
                self._count(document, max(numbers, default=0))
                self.recorded[document["descriptor"]] = max([self.recorded.get(document["descriptor"], 0), *numbers])
                if isinstance(moment, list):
                    self.last_time = max([self.last_time, *moment])
            case "stream_resource":
                dataset, key = document.get("parameters", {}).get("dataset", ""), document["data_key"]
                descriptor = self._keys.get(key, "")
                self.streams[document["uid"]] = Stream(path_of(document["uri"]), dataset, key, descriptor)
            case "stream_datum":
                stream = self.streams[document["stream_resource"]]
                stream.rows = max(stream.rows, document["indices"]["stop"])
                stream.descriptor = document["descriptor"]
                stream.shift = document["seq_nums"]["stop"] - document["indices"]["stop"]
                self._count(document, document["seq_nums"]["stop"] - 1)

    def _count(self, document: Document, number: int) -> None:
        name = self._names.get(document["descriptor"], "primary")
        self.events[name] = max(self.events.get(name, 0), number)


def path_of(uri: str) -> Path:
    """The file that a ``file:`` URI names."""
    return Path(unquote(urlsplit(uri).path))


def documents_of(path: Path, run: SpooledRun | None = None) -> Iterator[tuple[str, Document]]:
    """The documents in a run's file, one after another; lines that are none are passed over and noted in ``run``."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                if run is not None:
                    run.torn = len(line)
                return
            if number == 1:
                continue
            try:
                yield decode(line)
            except ValueError:
                if run is not None:
                    run.damaged.append(number)


def read_spooled(path: Path) -> SpooledRun:
    """Gather the facts of a run's file.

    :raises CatalogError: when it is no file of the spool, or of a later version of it.
    """
    run = SpooledRun(path, RunFileReader(path).header)
    for name, document in documents_of(path, run):
        try:
            run.take(name, document)
        except (KeyError, TypeError, AttributeError) as error:
            raise CatalogError(
                f"{str(path)!r}: a {name} document is not as it should be ({error!r})",
                hint="it is left as it is; correct the line or move the file out of the spool",
            ) from error
    return run
