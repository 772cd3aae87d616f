"""Documents of a kind that their schema has allowed before: it is not asked again.

bluesky has each document checked by a general JSON schema validator: 12 ms for the descriptor of a small rig's
baseline, which is the same in each run but for its values, and 0.2 ms for an event.
"""

from __future__ import annotations

import hashlib
import json
import marshal
from collections.abc import Mapping
from functools import cache
from typing import Any

from event_model import ComposeDescriptor, ComposeDescriptorBundle, ComposeEvent, DocumentNames, Event, schemas

__all__ = ["KnownDescriptors", "KnownEvents", "schemas_are_known"]

SCHEMAS = "2478d5b59c4fedfa5c0d65e36d9b4af65408ddddbbcda4d1134636306f035fd0"
"""SHA-256 of event_model's (1.24), to which all here applies; with others every document is checked."""
PLAIN = frozenset({str, int, float, bool, type(None)})
MOST = 1000
"""Kinds that are remembered; a session has a few dozen."""


@cache
def schemas_are_known() -> bool:
    """Whether event_model's schemas of descriptors and events are those that are meant here."""
    found = [schemas[DocumentNames.descriptor], schemas[DocumentNames.event]]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest() == SCHEMAS


class KnownDescriptors(ComposeDescriptor):
    """Composes the descriptors of a run, and has each kind of descriptor checked once.

    Two are of one kind when they differ only in what the schema allows to be anything: values and time stamps of a
    device's configuration that are no mappings. Of what is of no known kind, event_model says whether it is sound.

    :param compose: event_model's, of the run.
    :param allowed: the kinds that were checked, for all runs.
    """

    def __init__(self, compose: ComposeDescriptor, allowed: set[bytes]) -> None:
        super().__init__(compose.start, compose.streams, compose.event_counters)
        self._allowed = allowed

    def __call__(
        self,
        name: Any,
        data_keys: Any,
        hints: Any = None,
        configuration: Any = None,
        object_keys: Any = None,
        object_classes: Any = None,
        time: Any = None,
        uid: Any = None,
        validate: bool = True,
    ) -> ComposeDescriptorBundle:
        """A descriptor, and what composes its events; arguments and errors are event_model's."""
        facts = hints, configuration, object_keys, object_classes, time, uid
        looked_at = [name, data_keys, hints, object_keys, object_classes]
        can_be_known = validate and time is None and isinstance(uid, str | None)
        kind = _kind(looked_at, {} if configuration is None else configuration) if can_be_known else None
        known = kind in self._allowed and self.streams.get(name, data_keys.keys()) == data_keys.keys()
        made = super().__call__(name, data_keys, *facts, validate=validate and not known)
        if kind is not None and not known:
            if len(self._allowed) >= MOST:
                self._allowed.clear()
            self._allowed.add(kind)
        events = KnownEvents(made.descriptor_doc, self.event_counters)
        return ComposeDescriptorBundle(made.descriptor_doc, events, made.compose_event_page)


def _kind(looked_at: list[Any], configuration: Any) -> bytes | None:
    """All that the schema looks at, in short; None where that cannot be told for certain."""
    if type(configuration) is not dict:
        return None
    devices = {}
    for device, config in configuration.items():
        if type(config) is not dict or config.keys() != {"data", "timestamps", "data_keys"}:
            return None
        values, times = config["data"], config["timestamps"]
        if not (_holds_anything(values) and _holds_anything(times)):
            return None
        devices[device] = [list(values), list(times), config["data_keys"]]
    looked_at = [*looked_at, devices]
    if not (schemas_are_known() and _is_plain(looked_at)):
        return None
    # In version 2 of its format, which writes the same for the same.
    return hashlib.blake2b(marshal.dumps(looked_at, 2), digest_size=32).digest()


def _holds_anything(values: Any) -> bool:
    """Whether these are values that the schema does not look at: of a mapping, it looks at the names."""
    return type(values) is dict and not any(isinstance(value, dict) for value in values.values())


def _is_plain(value: Any) -> bool:
    """Whether it is made of what JSON has, and of no subclasses, of which the validator may think otherwise."""
    kind = type(value)
    if kind is dict:
        return all(type(key) is str for key in value) and all(map(_is_plain, value.values()))
    return all(map(_is_plain, value)) if kind is list or kind is tuple else kind in PLAIN


class KnownEvents(ComposeEvent):
    """Composes the events of a descriptor, and checks by itself those that are as most are.

    Of an event the schema looks at what the composer itself fills in, and at ``filled``; data and time stamps are
    anything. Where the names are not those of the descriptor, event_model says what is wrong.
    """

    def __init__(self, descriptor: Any, event_counters: dict[str, int]) -> None:
        super().__init__(descriptor, event_counters)
        keys: Mapping[str, Any] = descriptor["data_keys"]
        self._names = {name for name, key in keys.items() if key.get("external") != "STREAM:"}

    def __call__(
        self,
        data: Any,
        timestamps: Any,
        seq_num: int | None = None,
        filled: Any = None,
        uid: str | None = None,
        time: float | None = None,
        validate: bool = True,
    ) -> Event:
        """An event; arguments and errors are event_model's."""
        own = seq_num is None and uid is None and time is None
        known = own and self._is_known(data, timestamps, {} if filled is None else filled)
        return super().__call__(data, timestamps, seq_num, filled, uid, time, validate=validate and not known)

    def _is_known(self, data: Any, timestamps: Any, filled: Any) -> bool:
        return (
            schemas_are_known()
            and type(data) is type(timestamps) is type(filled) is dict
            and data.keys() == timestamps.keys() == self._names
            and filled.keys() <= self._names
            and all(type(value) in (bool, str) for value in filled.values())
        )
