"""A small run with frames that exists only to prove that runs can be written and read."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import event_model
import numpy as np
from numpy.typing import NDArray

PLAN_NAME = "rdaq catalog check"
KEY = "frames"
_SHAPE = (3, 4)
_DATASET = "/entry/data/data"
_HALF = 2


class ProbeRun:
    """Its file, and its documents in two parts, between which it grows.

    :param folder: where the frames go; a file of its own is made in it, and removed by :meth:`remove`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"rdaq-check-{uuid.uuid4()}.h5"
        self.values = np.random.default_rng().integers(0, 2**16, (2 * _HALF, *_SHAPE), np.uint16)
        self._run = event_model.compose_run(metadata={"plan_name": PLAN_NAME})
        self._described: dict[str, dict[str, Any]] = {
            "point": {"source": PLAN_NAME, "dtype": "integer", "shape": [], "dtype_numpy": "<i8"},
            KEY: {"source": PLAN_NAME, "dtype": "array", "dtype_numpy": "<u2", "shape": [1, *_SHAPE]},
        }
        self._described[KEY]["external"] = "STREAM:"
        self._stream = self._run.compose_descriptor(
            name="primary", data_keys=self._described, object_keys={key: [key] for key in self._described}
        )
        self._resource = event_model.compose_stream_resource(
            start=self._run.start_doc,
            mimetype="application/x-hdf5",
            uri=f"file://localhost{self.path}",
            data_key=KEY,
            parameters={"dataset": _DATASET, "chunk_shape": [1, *_SHAPE], "swmr": True},
        )

    @property
    def uid(self) -> str:
        """The run."""
        return str(self._run.start_doc["uid"])

    def write_file(self) -> None:
        """Make the file with all its frames.

        :raises OSError: it cannot be written.
        """
        import h5py

        with h5py.File(self.path, "w", libver="latest") as file:
            file.create_dataset(_DATASET, data=self.values, maxshape=(None, *_SHAPE), chunks=(1, *_SHAPE))

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)

    def begin(self) -> Iterator[tuple[str, Any]]:
        """Documents up to the middle."""
        yield "start", self._run.start_doc
        yield "descriptor", self._stream.descriptor_doc
        yield "stream_resource", self._resource.stream_resource_doc
        yield from self._rows(0)

    def end(self) -> Iterator[tuple[str, Any]]:
        """The rest."""
        yield from self._rows(_HALF)
        yield "stop", self._run.compose_stop()

    def _rows(self, first: int) -> Iterator[tuple[str, Any]]:
        last = first + _HALF
        indices = event_model.StreamRange(start=first, stop=last)
        numbers = event_model.StreamRange(start=first + 1, stop=last + 1)
        yield "stream_datum", self._resource.compose_stream_datum(indices, numbers, self._stream.descriptor_doc)
        for point in range(first, last):
            moment = {"point": time.time()}
            yield "event", self._stream.compose_event(data={"point": point}, timestamps=moment, filled={})

    def points(self) -> list[int]:
        """What the table has to hold."""
        return list(range(2 * _HALF))

    def matches(self, content: bytes) -> bool:
        """Whether these are the bytes of all frames."""
        frames: NDArray[np.uint16] = self.values
        return content == frames.astype("<u2").tobytes()
