"""What a plan may do with a device besides giving it to a message, by the names of Bluesky's protocols and ours."""

from __future__ import annotations

VERBS = frozenset(
    {
        "set", "trigger", "stage", "unstage", "kickoff", "complete", "prepare", "pause", "resume", "stop", "halt",
        "configure", "subscribe", "clear_sub", "collect", "collect_pages", "collect_asset_docs", "get_index",
    }
)  # fmt: skip
"""A device that has them can do it, in answer to a message. Called in the script they are refused."""
QUESTIONS = frozenset(
    {
        "read", "describe", "read_configuration", "describe_configuration", "describe_collect", "locate",
        "check_value", "get_value", "get_setpoint", "check_room",
    }
)  # fmt: skip
"""Methods that change nothing: the script may call them, and gets the rig's answer; coroutines where they are there."""
NOTES = frozenset({"end_at_pause", "because", "value"})
"""Methods that answer at once, without the instrument."""
FACTS = frozenset({"hints", "exposure_times", "stop_capability"})
"""Attributes that are asked for each time."""
TRACKS = frozenset({"positions"})
"""Attributes with a method ``nearest`` (:class:`rdaq_ophyd.capabilities.Track`)."""

LOCAL = frozenset(
    {
        "read", "describe", "read_configuration", "describe_configuration", "describe_collect", "collect_pages",
        "collect", "pause", "resume",
    }
)  # fmt: skip
"""What the rig's engine may call of a device that the script made itself."""
COMMANDS_LOCAL = frozenset({"read", "declare_stream", "collect", "null", "stage", "unstage"})
"""Messages that may name such a device."""
WITHOUT = frozenset({"stage", "unstage"})
"""Of these, those for which it must have no method: the engine passes it over then."""
REFUSED = frozenset(
    {"input", "install_suspender", "remove_suspender", "RE_class", "_start_suspender", "_resume_from_suspender"}
)
"""Messages that make sense only beside the engine."""
