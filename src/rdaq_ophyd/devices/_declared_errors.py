"""What a declared instrument says of the commands that it got."""

from __future__ import annotations

import re
from typing import NamedTuple

from rdaq_ophyd.declaration import Errors
from rdaq_ophyd.errors import BadReply


class Fault(NamedTuple):
    """An error that the instrument reported: its own code, and its own words or the manual's."""

    code: int
    cause: str


def judge(errors: Errors, reply: str, who: str, question: str) -> list[Fault]:
    """The errors in a reply to the question of ``errors``; none where it says that all is well.

    :param who: for the message; ``question`` too, as it was sent.
    :raises BadReply: the reply is none of those that the file describes.
    """
    if errors.bits:
        return _bits(errors, reply, f"{who} answered {reply!r} to {question!r}")
    if re.fullmatch(errors.ok, reply):
        return []
    found = re.fullmatch(errors.pattern, reply)
    if found is None or not re.fullmatch(r"[+-]?\d+", found["code"] or ""):
        raise _unlike(f"{who} answered {reply!r} to {question!r}", f"{errors.ok} or {errors.pattern}")
    return [Fault(int(found["code"]), found["message"] or "")]


def _bits(errors: Errors, reply: str, what: str) -> list[Fault]:
    if not re.fullmatch(r"\+?\d+", reply):
        raise _unlike(what, "a number")
    register = int(reply)
    return [Fault(int(bit), cause) for bit, cause in errors.bits.items() if register & int(bit)]


def _unlike(what: str, expected: str) -> BadReply:
    return BadReply(
        f"{what}; expected {expected}", hint="whether the instrument took the command is not known: read it back"
    )
