"""Frames by Arrow Flight: ``python -m benchmarks._flight``, told ``serve``, ``take`` or ``imported``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._child import obey

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


class Flight:
    """One side; what it needs is loaded when it is told to."""

    def do(self, what: str, **how: Any) -> Any:
        """Do it."""
        return getattr(self, f"_{what}")(**how)

    def _imported(self, module: str) -> int:
        """By how many bytes memory grows when a module is loaded."""
        before = resident()
        __import__(module)
        return resident() - before

    def _serve(self, nbytes: int) -> int:
        """Serve messages of so many bytes; the port."""
        import numpy as np
        import pyarrow as pa
        from pyarrow import flight

        data = np.random.default_rng(1).integers(0, 256, nbytes, np.uint8)
        schema = pa.schema([("pixels", pa.large_binary())])
        offsets = pa.py_buffer(np.array([0, nbytes], "<i8"))

        def batches() -> Iterator[Any]:
            while True:
                buffers = [None, offsets, pa.py_buffer(data.copy())]
                yield pa.RecordBatch.from_arrays([pa.Array.from_buffers(pa.large_binary(), 1, buffers)], schema=schema)

        class Server(flight.FlightServerBase):  # type: ignore[misc]
            def do_get(self, _context: Any, _ticket: Any) -> Any:
                return flight.GeneratorStream(schema, batches())

        self._server = Server("grpc://127.0.0.1:0")
        port: int = self._server.port
        return port

    def _take(self, port: int, warm: float, seconds: float) -> float:
        """Bytes a second."""
        from pyarrow import flight

        with flight.connect(f"grpc://127.0.0.1:{port}") as client:
            reader = client.do_get(flight.Ticket(b""))
            begin, taken, began = time.monotonic() + warm, 0, 0.0
            while not began or time.monotonic() < began + seconds:
                nbytes = reader.read_chunk().data.column(0).buffers()[2].size
                if began:
                    taken += nbytes
                elif time.monotonic() > begin:
                    began = time.monotonic()
            rate = taken / (time.monotonic() - began)
            reader.cancel()
        return rate


if __name__ == "__main__":
    obey("ready", Flight().do)
    sys.stdout.flush()
    os._exit(0)  # a Flight server with a call that was cancelled takes its time to end
