"""Scripts from elsewhere, each in a process of its own that reaches the rig only through the engine's messages."""

from ._folder import remove_left
from ._limits import ScriptLimits
from ._script import Script
from ._source import Source

__all__ = ["Script", "ScriptLimits", "Source", "remove_left"]
