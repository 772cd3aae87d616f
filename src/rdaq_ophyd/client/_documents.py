"""Documents from a server, as bluesky's callbacks know them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rdaq_ophyd.document_lines import decode
from rdaq_ophyd.wire import messages

from ._course import LOST, POSITION, Course
from ._gap import OnGap

type Document = tuple[str, dict[str, Any]]


class DocumentCourse(Course[Document]):
    """Documents in order. After a cut they go on where they were, for as long as the server still has them.

    A server that was started anew has none of them: then they go on with its open run, from its start.

    :param from_start: begin with the run that is open.
    """

    call = "StreamDocuments"
    stream = "documents"

    def __init__(self, *, from_start: bool = False, on_gap: OnGap | None = None) -> None:
        super().__init__(on_gap)
        self._from_start, self._position = from_start, 0
        self._arrays = Arrays()

    def request(self) -> messages.StreamDocumentsRequest:
        """From now on, or where it was."""
        if not self.instance:
            return messages.StreamDocumentsRequest(open_run=self._from_start)
        return messages.StreamDocumentsRequest(instance=self.instance, since=self._position, open_run=True)

    def begun(self, told: Mapping[str, str]) -> None:
        """Where it begins."""
        first = not self.instance
        super().begun(told)
        self._position = int(told[POSITION])
        if first and (lost := int(told[LOST])):
            self._gap(time.time(), lost, False)

    def items(self, message: messages.Document) -> Iterable[Document]:
        """Name and document."""
        self._position = message.position
        name, document = decode(message.line)
        self._arrays.restore(name, document)
        yield name, document

    def _again(self, since: float, told: Mapping[str, str], restarted: bool) -> None:
        self._gap(since, None if restarted else int(told[LOST]), restarted)


class Arrays:
    """Makes the lists of a line the arrays that they were, as the descriptors of a run say."""

    def __init__(self) -> None:
        self._keys: dict[str, dict[str, np.dtype[Any] | None]] = {}  # by descriptor
        self._runs: dict[str, list[str]] = {}

    def restore(self, name: str, document: dict[str, Any]) -> None:
        """Change the document in place."""
        match name:
            case "descriptor":
                self._keys[document["uid"]] = _arrays_of(document)
                self._runs.setdefault(document["run_start"], []).append(document["uid"])
            case "event" | "event_page":
                for key, dtype in self._keys.get(document["descriptor"], {}).items():
                    if isinstance(found := document["data"].get(key), list):
                        pages = name == "event_page"
                        document["data"][key] = [_array(e, dtype) for e in found] if pages else _array(found, dtype)
            case "stop":
                for descriptor in self._runs.pop(document["run_start"], ()):
                    self._keys.pop(descriptor, None)


def _arrays_of(descriptor: dict[str, Any]) -> dict[str, np.dtype[Any] | None]:
    """The data keys that are arrays in memory, with their types where they are told."""
    found: dict[str, np.dtype[Any] | None] = {}
    for key, about in descriptor["data_keys"].items():
        if about["dtype"] == "array" and not str(about.get("external", "")):
            found[key] = _dtype(about.get("dtype_numpy"))
    return found


def _dtype(told: Any) -> np.dtype[Any] | None:
    """The type of a data key; for records, a list of names and types."""
    if isinstance(told, list):
        return np.dtype([(str(name), str(kind)) for name, kind, *_ in told])
    return np.dtype(told) if told else None


def _array(value: Any, dtype: np.dtype[Any] | None) -> Any:
    if dtype is None or dtype.names is None:
        return np.asarray(value, dtype)
    return np.array([tuple(row) for row in value], dtype)
