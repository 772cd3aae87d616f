"""A TOML profile to begin with, from what answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rdaq_ophyd.errors import ProfileError

from ._ports import stable_name
from ._probe import Answer, PortReport


def write_profile(path: Path, reports: Iterable[PortReport]) -> None:
    """Write the profile; never over a file.

    :raises ProfileError: the file exists, or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(profile_text(path.stem, reports))
    except FileExistsError as error:
        raise ProfileError(f"{path} exists already", hint="give another name; it is not overwritten") from error
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror or error}", hint="give a file in a directory of yours") from error


def profile_text(name: str, reports: Iterable[PortReport], naming: Callable[[str], str] = stable_name) -> str:
    """The text of a profile whose devices are those that were recognised.

    :param name: of the rig.
    :param naming: gives the name of a port that stays the same.
    """
    lines = ["format = 1", "", "[rig]", f"name = {_quoted(name)}"]
    used: set[str] = set()
    for report in reports:
        if report.answers:
            lines += ["", *_device(report.answers, naming(report.url), used)]
    return "\n".join(lines) + "\n"


def _device(answers: list[Answer], link: str, used: set[str]) -> Iterator[str]:
    first = next((answer for answer in answers if answer.kind.device), answers[0])
    name = _unused(first.kind.name, used)
    for answer in answers:
        yield f"# {_comment(answer)}"
    if not first.kind.device:
        yield "# There is no driver for it here: declare it in a file of its own, or write a class."
        yield "# [[device]]"
        yield f"# name = {_quoted(name)}"
        yield '# declared = "my_instrument.toml"'
        yield f"# link = {_quoted(link)}"
        return
    yield "[[device]]"
    yield f"name = {_quoted(name)}"
    yield f"class = {_quoted(first.kind.device)}"
    yield f"link = {_quoted(link)}"
    if first.address:
        parts = [answer.address for answer in answers if answer.kind.device]
    elif first.kind.device == "esp300":
        yield "# One part for each axis in use; limits in the units of the axis: limits = [-10, 10]"
        parts = ["1"]
    else:
        return
    for part in parts:
        yield ""
        yield "[[device]]"
        yield f"name = {_quoted(_unused('rotator' if first.address else 'x', used))}"
        yield f"part_of = {_quoted(name)}"
        yield f"axis = {_quoted(part) if first.address else part}"


def _unused(name: str, used: set[str]) -> str:
    number, found = 1, name
    while found in used:
        number += 1
        found = f"{name}_{number}"
    used.add(found)
    return found


def _comment(answer: Answer) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(answer))


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
