"""The rows of one file are those of one stream of one run; a plan that mixes them is told so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from bluesky import Msg
from bluesky.bundlers import RunBundler
from event_model import ComposeDescriptor

from rdaq_ophyd.errors import RdaqError

from ._known_documents import KnownDescriptors

__all__ = ["OneStreamBundler"]
INTERRUPTIONS = "interruptions"
"""bluesky's stream of pauses and resumes."""


class OneStreamBundler(RunBundler):
    """bluesky's (1.15.1), which refuses what no reader of the documents can tell apart.

    Tiled takes the rows of a file one after another, whatever numbers a datum gives: rows of a second stream, or of a
    second run, would be read as those of the first.
    """

    _allowed: ClassVar[set[bytes]] = set()
    """Kinds of descriptors, of all runs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stream_of: dict[str, str | None] = {}

    @property
    def _compose_descriptor(self) -> ComposeDescriptor:
        """An attribute of bluesky's, which it sets when the run is opened."""
        return self._known

    @_compose_descriptor.setter
    def _compose_descriptor(self, compose: ComposeDescriptor) -> None:
        self._known = KnownDescriptors(compose, self._allowed)

    def check_run(self, msg: Msg) -> None:
        """Refuse a device whose file belongs to another run, before it takes anything.

        :raises RdaqError: names the way out.
        """
        told = getattr(msg.obj, "told_in_run", "")
        if told and told != self._run_start_uid:
            raise _mixed(msg.obj.name, "of another run", "this one")

    def rewind(self) -> None:
        """Go back to the last checkpoint, but not with the interruptions, which were told as they came."""
        told = self._sequence_counters.get(INTERRUPTIONS)
        super().rewind()
        if told is not None:  # before the first checkpoint, bluesky forgets that there is such a stream
            self._sequence_counters[INTERRUPTIONS] = told

    async def _pack_external_assets(self, asset_docs: Iterable[Any], message_stream_name: str | None) -> Any:
        documents = list(asset_docs)
        keys = {d["uid"]: d["data_key"] for n, d in documents if n == "stream_resource"}
        keys = {**self._stream_resource_data_keys, **keys}
        for uid in (document["stream_resource"] for name, document in documents if name == "stream_datum"):
            if uid not in keys:
                raise _mixed("a detector", "of another run", "this one")
            told = self._stream_of.setdefault(uid, message_stream_name)
            if told != message_stream_name:
                raise _mixed(keys[uid], f"of the stream {told!r}", f"{message_stream_name!r}")
        return await super()._pack_external_assets(documents, message_stream_name)


def _mixed(what: str, told: str, other: str) -> RdaqError:
    return RdaqError(
        f"{what}: its file has rows {told}, and cannot have those of {other} too",
        hint="unstage it and stage it again in between, in this run or another: each staging makes a file",
    )
