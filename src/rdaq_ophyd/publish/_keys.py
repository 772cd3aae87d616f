"""CURVE keys of those who publish and listen: a folder with a pair for each, and the public ones once more."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rdaq_ophyd.errors import PublishError

__all__ = ["KeyFolder"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class KeyFolder:
    """``NAME.key`` may be shown to anybody, ``NAME.key_secret`` to its owner alone; ``known/`` has the public keys of
    those whom the proxy lets in.

    :param path: the folder.
    """

    path: Path

    @property
    def known(self) -> Path:
        """Who may come in: remove a file, and its owner may not."""
        return self.path / "known"

    def secret(self, name: str) -> Path:
        """The file of a secret key."""
        return self.path / f"{name}.key_secret"

    def names(self) -> list[str]:
        """Of those who may come in."""
        return sorted(path.stem for path in self.known.glob("*.key"))

    def version(self) -> tuple[tuple[str, int, int], ...]:
        """Another one after each change of who may come in."""
        found = []
        for path in sorted(self.known.glob("*.key")):
            try:
                status = path.stat()
            except OSError:  # removed just now
                continue
            found.append((path.name, status.st_mtime_ns, status.st_ino))
        return tuple(found)

    def make(self, names: Iterable[str]) -> list[Path]:
        """A pair for each name, and for the proxy where it has none; who has one keeps it.

        :return: the secret keys that were made.
        :raises PublishError: no name for a file, or the folder cannot be written.
        """
        import zmq.auth

        wanted = ["proxy", *names]
        if bad := [name for name in wanted if not NAME.fullmatch(name)]:
            raise PublishError(f"{bad[0]!r} cannot be the name of a file", hint="letters, digits, - _ and .")
        made = []
        before = os.umask(0o077)  # else others could read a secret key until its mode is changed
        try:
            self.known.mkdir(parents=True, exist_ok=True)
            for name in wanted:
                if self.secret(name).exists():
                    continue
                public, secret = zmq.auth.create_certificates(self.path, name)
                made.append(Path(secret))
                if name != "proxy":
                    (self.known / f"{name}.key").write_bytes(Path(public).read_bytes())
        except OSError as error:
            raise PublishError(f"{self.path}: {error.strerror or error}", hint="give a folder of your own") from error
        finally:
            os.umask(before)
        return made
