"""Compile what every process of the tests loads, once and on all processors; ``make test`` begins with it.

Where nothing is compiled yet, each of pytest's workers would compile all of it by itself, all at the same time: on two
processors that is most of a minute.
"""

from __future__ import annotations

import compileall
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

# As pytest and hypothesis do it: there is no other way in.
from _pytest.assertion.rewrite import PYC_TAIL, _read_pyc, _rewrite_test, _write_pyc_fp, get_cache_dir
from hypothesis.internal.constants_ast import constants_from_module

ROOT = Path(__file__).parents[2]
PLAIN = ("src", "benchmarks", "plans", "profiles", "tests/lib")


def rewritten() -> Iterator[Path]:
    """The files whose assertions pytest rewrites."""
    for pattern in ("test_*.py", "conftest.py"):
        yield from (ROOT / "tests").rglob(pattern)


def rewrite(path: Path) -> None:
    """Write the file that pytest would write when it imports this one."""
    cache = get_cache_dir(path)
    cache.mkdir(exist_ok=True)
    target = cache / f"{path.stem}{PYC_TAIL}"
    if _read_pyc(path, target) is not None:
        return
    source_hash, code = _rewrite_test(path, None)
    part = target.with_suffix(f".{os.getpid()}")
    with part.open("wb") as file:
        _write_pyc_fp(file, source_hash, code)
    part.replace(target)


def constants(path: Path) -> None:
    """Write the file of constants that hypothesis would write when a test with examples is about to begin."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    constants_from_module(module)


def main() -> int:
    """Compile; 1 where something cannot be."""
    with ProcessPoolExecutor() as pool:
        parts = (
            pool.map(rewrite, rewritten(), chunksize=8),
            pool.map(constants, (ROOT / "src").rglob("*.py"), chunksize=32),
        )
        good = [compileall.compile_dir(ROOT / name, quiet=1, workers=0) for name in PLAIN]
        for done in parts:
            list(done)  # what went wrong there
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
