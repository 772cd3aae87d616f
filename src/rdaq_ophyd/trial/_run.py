"""``rdaq check FILE --run``: the test run, for a person."""

from __future__ import annotations

import asyncio
import sys

from rdaq_ophyd.declaration import Declaration, load
from rdaq_ophyd.errors import DeclarationError, RdaqError
from rdaq_ophyd.trial._steps import STEPS, NotApplicable, serve


def run(source: str) -> int:
    """Run every step over TCP and, where there are pseudo-terminals, over one; 0 when all of them hold.

    :raises DeclarationError: the file is not what it must be, or does not say how the instrument behaves.
    """
    declaration = load(source)
    if declaration.sim is None:
        raise DeclarationError(f"{source}: no [sim], so there is nothing to run it against", hint="say what it answers")
    ways = [True] if sys.platform == "win32" else [True, False]
    return max(asyncio.run(_steps(declaration, tcp=tcp)) for tcp in ways)


async def _steps(declaration: Declaration, *, tcp: bool) -> int:
    code = 0
    for step in STEPS:
        what = f"{'TCP' if tcp else 'serial'}: {(step.__doc__ or '').rstrip('.')}"
        try:
            async with serve(declaration, tcp=tcp) as trial:
                await step(trial)
        except NotApplicable as reason:
            sys.stdout.write(f"-       {what}: {reason}\n")
        except RdaqError as error:
            sys.stdout.write(f"failed  {what}: {error}\n")
            code = 1
        else:
            sys.stdout.write(f"ok      {what}\n")
    return code
