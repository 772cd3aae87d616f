"""Programs that coverage does not trace: traced, they take twice as long (most of all the imports of Tiled)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

#: Where a process finds that coverage is to trace it, too.
VARIABLES = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")


@contextmanager
def untraced() -> Iterator[None]:
    """Programs that are started meanwhile are not traced."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in VARIABLES:
            patch.delenv(variable, raising=False)
        yield


#: The command ``rdaq``, traced, while the processes that it starts are not.
RDAQ = [
    *(sys.executable, "-X", "faulthandler", "-c"),
    f"import os, sys; [os.environ.pop(name, None) for name in {VARIABLES}]; "
    "from rdaq_ophyd.cli import main; sys.exit(main())",
]
