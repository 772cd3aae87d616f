"""What a device says of itself fits what it reads."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from bluesky.protocols import HasHints, Readable
from ophyd_async.core import Command

from rdaq_ophyd.capabilities import Capability, capabilities
from rdaq_ophyd.devices.declared import DeclaredPart

from ._bench import Bench
from ._benched import Benched
from ._members import link_backend, link_devices, movables, readable, walk

DTYPES: Mapping[str, tuple[type, ...]] = {
    "number": (int, float),
    "integer": (int,),
    "string": (str,),
    "boolean": (bool,),
}


class DescribeTests(Benched):
    """Descriptions, hints, units and docstrings."""

    def test_the_description_fits_the_readings(self, shared_bench: Bench) -> None:
        """The same keys, and values of the described type and shape."""
        if not isinstance(shared_bench.device, Readable):
            pytest.skip("it is not readable")
        readings, keys = shared_bench.run(_readings(shared_bench.device))
        _check_fit(readings, keys)

    def test_the_configuration_is_described(self, shared_bench: Bench) -> None:
        """The same of its settings."""
        if Capability.CONFIGURABLE not in capabilities(shared_bench.device):
            pytest.skip("it is not configurable")
        readings, keys = shared_bench.run(_configuration(shared_bench.device))
        _check_fit(readings, keys)

    def test_hints_are_readings(self, shared_bench: Bench) -> None:
        """What is shown in tables and plots is read."""
        if not isinstance(shared_bench.device, HasHints) or not isinstance(shared_bench.device, Readable):
            pytest.skip("it has no hints")
        _, keys = shared_bench.run(_readings(shared_bench.device))
        fields = set(shared_bench.device.hints.get("fields", []))
        assert fields <= set(keys), f"hinted but not read: {fields - set(keys)}"
        assert fields or not keys, "nothing is hinted: give one reading a HINTED format, or tables and plots stay empty"

    def test_numbers_have_units(self, shared_bench: Bench) -> None:
        """Every float says its unit; ``units=""`` for one without a dimension."""
        described = shared_bench.run(_described(shared_bench.device))
        missing = [path for path, key in described.items() if "units" not in key]
        assert not missing, f"no units: {missing}; write Ask(..., units='mm'), or units='' for a number without one"

    def test_signals_and_commands_are_documented(self, idle_bench: Bench) -> None:
        """A docstring where the type does not tell what values mean: switches, codes and commands; and of the class."""
        for path, device in link_devices(idle_bench.device).items():
            assert inspect.getdoc(type(device)) != inspect.getdoc(type(device).__mro__[1]), (
                f"{type(device).__name__} has no docstring of its own"
            )
            try:
                documented = set(_documented(type(device)))
            except (OSError, TypeError):
                pytest.skip(f"{type(device).__name__} was not made from source text")
            needed = {name for name, child in device.children() if _needs_words(child)} - {"connection"}
            assert needed <= documented, (
                f"{path or type(device).__name__}: say under the declaration what they mean (in a file: `doc`): "
                f"{needed - documented}"
            )

    def test_what_it_can_do_is_hinted(self, idle_bench: Bench) -> None:
        """The suite is told of everything that moves or emits: else it would not be tested."""
        device = idle_bench.device
        missing = set(movables(device)) - {motion.part for motion in self.motions}
        assert not missing, f"it moves: give `motions`, one Motion for each of {[m or 'itself' for m in missing]}"
        told = {emission.part for emission in self.emissions}
        for path, part in {"": device, **dict(walk(device))}.items():
            for name in {"emission", "shutter"} & {n for n, _ in part.children()}:
                full = f"{path}.{name}".lstrip(".")
                assert full in told, f"it emits: give `emissions` an Emission for {full}"


async def _readings(device: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return await device.read(), await device.describe()


async def _configuration(device: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return await device.read_configuration(), await device.describe_configuration()


async def _described(device: Any) -> dict[str, Any]:
    found = {}
    for path, signal in readable(device).items():
        backend = link_backend(signal)
        if backend is not None and backend.datatype is float:
            found[path] = (await signal.describe())[signal.name]
    return found


def _check_fit(readings: Mapping[str, Any], keys: Mapping[str, Any]) -> None:
    assert set(readings) == set(keys), f"read but not described, or the other way: {set(readings) ^ set(keys)}"
    for name, key in keys.items():
        value = readings[name]["value"]
        assert key["source"], f"{name}: no source"
        assert isinstance(readings[name]["timestamp"], float), f"{name}: no time stamp"
        if key["dtype"] != "array":
            fits = isinstance(value, DTYPES[key["dtype"]]) and (key["dtype"] == "boolean") == isinstance(value, bool)
            fits = fits and not key["shape"]
            assert fits, f"{name}: described as {key['dtype']} {key['shape']}, reads {value!r}"
        else:
            shape = list(getattr(value, "shape", [len(value)]))
            pairs = itertools.zip_longest(shape, key["shape"], fillvalue=-1)
            fits = all(described in (None, found) for found, described in pairs)
            assert fits, f"{name}: described with shape {key['shape']}, reads {shape}"


def _needs_words(child: Any) -> bool:
    if isinstance(child, Command):
        return True
    backend = link_backend(child) if hasattr(child, "_connector") else None
    return backend is not None and backend.datatype in (bool, int)


def _documented(cls: type) -> Iterator[str]:
    """Names of the declarations that are followed by a text, of the class and those that it inherits from.

    Of an instrument from a file: those that have a ``doc``.
    """
    if issubclass(cls, DeclaredPart):
        yield from (name for table in (cls.scope.signal, cls.scope.command) for name, said in table.items() if said.doc)
        return
    for base in cls.__mro__:
        if not base.__module__.startswith(("ophyd_async", "bluesky", "builtins", "typing", "abc")):
            yield from _documented_by(base)


@functools.cache
def _documented_by(base: type) -> list[str]:
    """Those of one class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
    return [
        one.target.id
        for one, following in itertools.pairwise(body.body if isinstance(body, ast.ClassDef) else [])
        if isinstance(one, ast.AnnAssign)
        and isinstance(one.target, ast.Name)
        and isinstance(following, ast.Expr)
        and isinstance(following.value, ast.Constant)
    ]
