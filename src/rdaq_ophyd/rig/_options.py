"""Keyword arguments of a device class, checked against its signature before it is made."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ophyd_async.core import Device, PathProvider
from pydantic import BaseModel, ConfigDict, PydanticSchemaGenerationError, ValidationError, create_model

from rdaq_ophyd.errors import RdaqError, UnknownName

GIVEN = ("link", "address", "name")
"""Parameters that have keys of their own in a profile."""


class OptionError(RdaqError):
    """A keyword argument that the class does not take as it was given.

    :ivar key: the option, and what inside it.
    """

    def __init__(self, what: str, *, hint: str = "", key: tuple[str, ...] = ()) -> None:
        super().__init__(what, hint=hint)
        self.key = key


class Signature:
    """What a device class is made from.

    :param cls: the class.
    """

    def __init__(self, cls: type[Device]) -> None:
        self.name = cls.__name__
        hints = typing.get_type_hints(cls.__init__)
        declared = list(inspect.signature(cls).parameters.values())
        self._open = any(p.kind is p.VAR_KEYWORD for p in declared)
        self.parameters = {
            p.name: p for p in declared if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name in hints
        }
        self.hints = {name: hints[name] for name in self.parameters}

    @property
    def services(self) -> dict[str, str]:
        """Parameters that the session fills in, and the name of what it fills in."""
        return {name: "paths" for name, hint in self.hints.items() if hint is PathProvider}

    @property
    def options(self) -> list[str]:
        """Parameters that a profile gives as options."""
        return [name for name in self.parameters if name not in GIVEN and name not in self.services]

    @property
    def required(self) -> list[str]:
        """Parameters without a default."""
        return [name for name, p in self.parameters.items() if p.default is p.empty and name != "name"]

    @property
    def parts(self) -> str | None:
        """The option that names the parts by their number or address (``axes`` of an ESP300); None: it has none."""
        needed = (name for name in self.options if name in self.required)
        return next((name for name in needed if typing.get_origin(self.hints[name]) is Mapping), None)

    def check(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options as the class wants them: tuples, numbers as keys, enums, settings.

        :raises OptionError: an unknown one, with the nearest name; one of the wrong type, with what is expected.
        """
        for name in options:
            if name not in self.options and not self._open:
                guess = UnknownName.among("option", name, self.options)
                raise OptionError(f"{self.name} has no option {name!r}", hint=guess.hint, key=(name,))
        return {name: self._value(name, value) for name, value in options.items()}

    def _value(self, name: str, value: Any) -> Any:
        try:
            text = json.dumps({"value": value}, allow_nan=False, default=str)
        except ValueError as error:
            raise OptionError(f"{name} = {value!r} is not finite", hint="give a finite number", key=(name,)) from error
        try:
            return _model(self.hints.get(name, Any)).model_validate_json(text).value  # type: ignore[attr-defined]
        except ValidationError as error:
            raise self._wrong(name, value, error) from error
        except PydanticSchemaGenerationError as error:
            hint = "make this device in a Python profile"
            raise OptionError(f"{name} of {self.name} cannot be given in TOML", hint=hint, key=(name,)) from error

    def _wrong(self, name: str, value: Any, error: ValidationError) -> OptionError:
        first = error.errors(include_url=False)[0]
        inside = [str(part) for part in first["loc"][1:]]
        path = ".".join([name, *(part for part in inside if not part.startswith("["))])
        wanted = inspect.formatannotation(self.hints[name]).replace("collections.abc.", "")
        what = f"{path} = {first.get('input', value)!r}: {first['msg'][:1].lower()}{first['msg'][1:]}"
        return OptionError(what, hint=f"{self.name} takes {name}: {wanted}", key=(name, *inside))

    def missing(self, given: Collection[str]) -> Iterator[str]:
        """What has to be given and was not."""
        return (name for name in self.required if name not in given and name not in self.services)


def _model(hint: Any) -> type[BaseModel]:
    config = ConfigDict(strict=True, extra="forbid")
    return create_model("Option", __config__=config, value=(_from_json(hint), ...))


def _from_json(hint: Any) -> Any:
    """The same type, read from an array where any collection will do."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Collection, typing.Collection):
        return Sequence[args]  # type: ignore[valid-type]
    if origin in (typing.Union, types.UnionType):
        return typing.Union[tuple(_from_json(arg) for arg in args)]  # noqa: UP007 - the members are not known here
    return hint
