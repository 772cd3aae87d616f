"""A declared instrument as a whole."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ._parts import Errors, Identity, Instrument, Link
from ._signals import Group, Scope
from ._sim import Sim

FORMAT = 1
"""The version of the file format that this release reads."""


class Declaration(Scope):
    """One instrument: what it is, how to talk to it, and how it behaves."""

    format: Literal[1] = Field(description="version of the file format")
    instrument: Instrument = Field(description="what it is")
    link: Link = Field(Link(), description="how texts become bytes")
    identity: Identity | None = Field(None, description="how it is told from another")
    errors: Errors | None = Field(None, description="how it complains")
    group: dict[str, Group] = Field({}, description="channels that are alike, by the name of their kind")
    sim: Sim | None = Field(None, description="how it is simulated")
