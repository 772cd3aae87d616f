"""What travels besides plain values: enums and the few models that plans give to devices, each by its name."""

from __future__ import annotations

import enum
from typing import Any

import ophyd_async.core
from ophyd_async.core import FlyMotorInfo, TriggerInfo
from pydantic import BaseModel

MODELS: dict[str, type[BaseModel]] = {model.__name__: model for model in (FlyMotorInfo, TriggerInfo)}
"""Pydantic checks their fields on the other side."""


def name_of(cls: type) -> str:
    """``module:qualname``."""
    return f"{cls.__module__}:{cls.__qualname__}"


def known_enums() -> dict[str, type[enum.Enum]]:
    """Those of ophyd-async, by name; a rig adds those of its signals."""
    found = [v for v in vars(ophyd_async.core).values() if isinstance(v, type) and issubclass(v, enum.Enum)]
    return {name_of(cls): cls for cls in found if cls.__members__}


def fields_of(model: BaseModel) -> dict[str, Any]:
    """What makes the same model on the other side."""
    return {name: getattr(model, name) for name in type(model).model_fields}
