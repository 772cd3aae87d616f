"""The base of every table of a declared instrument: nothing in it is guessed, nothing unknown is passed over."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError


class Table(BaseModel):
    """A table of the file. A key that it does not have is refused, with the nearest one that it has."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in cls.model_fields:
                    raise PydanticCustomError(
                        "unknown_key",
                        "unknown key '{key}'; {hint}",
                        {"key": key, "hint": _guess(key, cls.model_fields)},
                    )
        return data


def _guess(key: str, known: Any) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else "known here: " + ", ".join(known)
