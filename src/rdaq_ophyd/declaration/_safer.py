"""What a rig says of the safe state of a declared instrument, in place of what its file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from rdaq_ophyd.errors import DeclarationError, UnknownName

from ._check import complaints
from ._declaration import Declaration
from ._parts import SafeState

POWER_OFF = "may_power_off"
"""The key by which a rig allows the last resort, which a file alone cannot."""


def safer(declaration: Declaration, group: str | None, given: Mapping[str, Any]) -> SafeState:
    """The safe state of the instrument, or of each channel of ``group``, with the keys of ``given`` instead of its own.

    ``power_off`` is empty unless ``given`` allows it by ``may_power_off``.

    :raises DeclarationError: a key that there is not, a value that the file could not have either, or ``may_power_off``
        where there is no power off.
    """
    known = [*SafeState.model_fields, POWER_OFF]
    for key in given:
        if key not in known:
            guess = UnknownName.among("key of safe", key, known)
            raise DeclarationError(guess.what, hint=guess.hint)
    keys = dict(given)
    allowed = keys.pop(POWER_OFF, False)
    if not isinstance(allowed, bool):
        raise DeclarationError(f"safe.{POWER_OFF} = {allowed!r}", hint="give true or false")
    state = _checked(declaration, group, keys)
    if allowed and not state.power_off:
        raise DeclarationError(
            f"safe.{POWER_OFF}: the safe_state of {declaration.instrument.name} has no power_off",
            hint="give safe.power_off too, the command that is the last resort",
        )
    return state if allowed else state.model_copy(update={"power_off": ""})


def _checked(declaration: Declaration, group: str | None, keys: Mapping[str, Any]) -> SafeState:
    scope = declaration if group is None else declaration.group[group]
    before = {} if scope.safe_state is None else scope.safe_state.model_dump(exclude_unset=True)
    try:
        state = SafeState.model_validate({**before, **keys})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = first["ctx"]["key"] if first["type"] == "unknown_key" else ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        raise DeclarationError(f"safe{'.' if key else ''}{key}: {reason}", hint="mend it in the profile") from error
    changed: Any = scope.model_copy(update={"safe_state": state})
    whole = changed
    if group is not None:
        whole = declaration.model_copy(update={"group": {**declaration.group, group: changed}})
    for path, what in complaints(whole):
        # The file itself is checked: whatever is wrong now came with the keys.
        where = ".".join(map(str, path[path.index("safe_state") + 1 :]))
        raise DeclarationError(f"safe.{where}: {what}", hint="mend it in the profile")
    return state
