"""What a rig elsewhere keeps, on the command line: its session, metadata, positions, calibrations, suspenders."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from typing import Any

from rdaq_ophyd.errors import LimitError, UnknownName
from rdaq_ophyd.option_words import once

from ._client import Client
from .commands import Where, say

__all__ = ["calibrations", "md", "positions", "reconnect", "session", "suspenders"]


def session(where: Where) -> int:
    """What a rig is, where its data are, and which signals follow others."""
    with where.connect() as client:
        now = client.session
    say(f"rig              {now.rig}")
    say(f"operator         {now.operator}")
    say(f"data directory   {now.data_directory}")
    say(f"catalog          {now.catalog_uri or 'none yet'}")
    for signal, source in sorted(now.follows.items()):
        say(f"follows          {signal} follows {source}")
    return 0


def reconnect(where: Where, name: str) -> int:
    """Try a device again that is not there."""
    with where.connect() as client:
        client.reconnect(name)
    say(f"{name} is connected")
    return 0


def md(where: Where, given: Sequence[tuple[str, str]], forget: Sequence[str], *, as_json: bool) -> int:
    """Change what every start document has, and show what was changed; or all of it.

    :param given: keys with texts, or with JSON.
    :raises LimitError: a value is no JSON; nothing was changed.
    """
    changes: dict[str, Any] = {key: _json(key, text) if as_json else text for key, text in once(given).items()}

    def change(client: Client) -> None:
        for key, value in changes.items():
            client.set_metadata(key, value)
        for key in forget:
            client.forget_metadata(key)

    def show(client: Client) -> None:
        for key, value in sorted(client.session.metadata.items()):
            if key in changes or not (changes or forget):
                say(f"{key:<16} {json.dumps(value, ensure_ascii=False)}")

    return _changed(where, change, show)


def _json(key: str, text: str) -> Any:
    def refuse(word: str) -> float:
        raise ValueError(f"{word} is no JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise LimitError(f"{key}: {text[:80]!r} is no JSON: {error}", hint="a text needs no --json") from error


def positions(where: Where, name: str | None, axes: Sequence[tuple[str, float]], forget: Sequence[str]) -> int:
    """Keep places under a name, wherever the axes are; forget names; show what is kept.

    :raises UnknownName: there is no position of that name.
    """
    places = once(axes)
    if name is not None and "=" in name:
        raise LimitError(f"{name}: a place without a name", hint="rdaq positions NAME AXIS=PLACE ...")

    def change(client: Client) -> None:
        if name is not None and places:
            client.put_position(name, places)
        for each in forget:
            client.forget_position(each)

    def show(client: Client) -> None:
        if forget and (name is None or name in forget):
            return
        kept = client.session.positions
        if name is not None and name not in kept:
            raise UnknownName.among("position", name, kept)
        for each in [name] if name is not None else sorted(kept):
            say(f"{each:<16} {', '.join(f'{axis} {place:.9g}' for axis, place in sorted(kept[each].items()))}")

    return _changed(where, change, show)


def calibrations(where: Where, change: tuple[str, float] | None, undo: str | None, why: str) -> int:
    """Set a calibration, or put back what held before, and show that; or all values and changes, oldest first."""
    changed = {name for name in (change and change[0], undo) if name}

    def do(client: Client) -> None:
        if change is not None:
            client.set_calibration(*change, why)
        if undo is not None:
            client.undo_calibration(undo, why)

    def show(client: Client) -> None:
        for key, reading in sorted(client.read("calibration").items()):
            name = key.partition("-")[2] or key
            if not changed or name in changed:
                say(f"{name:<24} {reading['value']:.9g}")
        history = client.session.calibrations
        latest = {was.name: was for was in history}  # others may change theirs meanwhile
        for was in [latest[name] for name in sorted(changed) if name in latest] if changed else history:
            at = datetime.datetime.fromtimestamp(was.timestamp).astimezone().isoformat(" ", "seconds")
            how = "put back to" if was.undone else "set to"
            say(f"{at}  {was.name} {how} {was.value:.9g} {was.units} by {was.by}: {was.why}")

    return _changed(where, do, show)


def suspenders(
    where: Where, install: tuple[str, str] | None, numbers: Sequence[tuple[str, float]], remove: Sequence[str]
) -> int:
    """Let plans wait for a condition, or no longer; show for which they do.

    :param install: kind and signal.
    """
    given = once(numbers)

    def change(client: Client) -> None:
        if install is not None:
            kind, signal = install
            client.suspend(kind, signal, **given)
        for each in remove:
            client.remove_suspender(each)

    def show(client: Client) -> None:
        for each in client.session.suspenders:
            say(f"{each.id:<40} {each.signal}: {each.why or 'plans wait' if each.suspended else 'good'}")

    return _changed(where, change, show)


def _changed(where: Where, change: Callable[[Client], None], show: Callable[[Client], None]) -> int:
    with where.connect() as client:
        change(client)
        show(client)
    return 0
