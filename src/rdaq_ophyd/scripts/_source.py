"""A script as it was sent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rdaq_ophyd.errors import LimitError

from ._limits import ScriptLimits

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,95}\.py")


@dataclass(frozen=True)
class Source:
    """A script with its arguments.

    :param name: of its file, such as ``scan.py``.
    :param text: its bytes, UTF-8.
    :param arguments: as on the command line.
    """

    name: str
    text: bytes
    arguments: Sequence[str] = ()

    def check(self, limits: ScriptLimits) -> None:
        """Refuse what cannot be run.

        :raises LimitError: no name of a script, nothing in it, too long, or no text.
        """
        if not _NAME.fullmatch(self.name):
            raise LimitError(f"{self.name[:100]!r} is no name of a script", hint="name its file, such as scan.py")
        if not self.text.strip():
            raise LimitError(f"{self.name} is empty", hint="send a script with a function `plan`")
        if len(self.text) > limits.source:
            raise LimitError(f"{self.name}: {len(self.text)} bytes", hint=f"at most {limits.source} are taken")
        if sum(len(word.encode()) for word in self.arguments) > limits.arguments:
            raise LimitError(f"{self.name}: too long arguments", hint=f"at most {limits.arguments} bytes are taken")
        try:
            self.text.decode()
        except UnicodeDecodeError as error:
            raise LimitError(f"{self.name} is no text: {error}", hint="save it as UTF-8") from error

    @property
    def sha256(self) -> str:
        """Of its bytes, in hexadecimal digits."""
        return hashlib.sha256(self.text).hexdigest()

    @property
    def record(self) -> dict[str, Any]:
        """For the start document."""
        return {"name": self.name, "sha256": self.sha256, "arguments": list(self.arguments)}
