"""What to do next, by what pylon says."""

from __future__ import annotations

_IN_USE = "another program has it: close pylon Viewer or the other session"
_HINTS = {
    **dict.fromkeys(("controlled by another", "in use", "exclusive", "access denied"), _IN_USE),
    "the retrieval fails": "pylon's emulator does this on a busy machine: take the frames again, at a lower rate; "
    "with a camera check its cable",
    "no memory for a frame": "give it fewer buffers (buffers=), or a smaller region",
}


def hint(text: str) -> str:
    """The next step after an error of pylon's, in words."""
    told = (step for sign, step in _HINTS.items() if sign in text.lower())
    return next(told, "check cable and power, or try it in pylon Viewer")
