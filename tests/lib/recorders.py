"""Runs on their way into the spool, whose process then dies."""

import json

import h5py
import numpy as np
from event_model import DocumentNames, compose_run, schema_validators

from rdaq_ophyd.catalog import Spool, repair

NUMBER = {"source": "s", "dtype": "number", "shape": []}
STREAM = {**NUMBER, "external": "STREAM:", "dtype_numpy": "<f8"}


def frames_file(layout, rows, name="f.h5"):
    path = layout.frames / name
    with h5py.File(path, "w", libver="latest") as file:
        for key in ("a", "b"):
            file.create_dataset(key, data=np.arange(rows, dtype="f8"), maxshape=(None,), chunks=(4,))
    return path


class Recorder:
    """A run on its way into the spool."""

    def __init__(self, layout, data_keys, path=None):
        self.spool = Spool(layout)
        self.run = compose_run()
        self.uid = self.run.start_doc["uid"]
        self.spool("start", self.run.start_doc)
        self.stream = self.run.compose_descriptor(name="primary", data_keys=data_keys)
        self.spool("descriptor", self.stream.descriptor_doc)
        self.external = [key for key, described in data_keys.items() if "external" in described]
        self.resources, self.before = {}, 0
        self.stage(path)

    def stage(self, path, before=0):
        """The next rows are in this file; so many events came before the first of them."""
        self.before = before
        for key in self.external:
            bundle = self.run.compose_stream_resource(
                mimetype="application/x-hdf5",
                uri=f"file://localhost{path}",
                data_key=key,
                parameters={"dataset": f"/{key}", "chunk_shape": (4,)},
            )
            self.resources[key] = bundle
            self.spool("stream_resource", bundle.stream_resource_doc)

    def event(self, value):
        self.spool("event", self.stream.compose_event(data={"x": value}, timestamps={"x": 5e9}))

    def rows(self, key, start, stop):
        first = self.before + 1
        indices, numbers = {"start": start, "stop": stop}, {"start": first + start, "stop": first + stop}
        self.spool(
            "stream_datum",
            self.resources[key].compose_stream_datum(
                indices=indices, seq_nums=numbers, descriptor=self.stream.descriptor_doc
            ),
        )

    def die(self):
        self.spool.close()
        return self.spool.path(self.uid)


def documents(layout, uid):
    """What the spool has of a run, each document as the schema wants it."""
    lines = (layout.spool / f"{uid}.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines[1:]]
    for name, document in found:
        schema_validators[DocumentNames[name]].validate(document)
    return found


def told(layout, **options):
    return [str(line) for line in repair(layout, **options)]
