"""The shell while everything is stopped, and when the process is told to end."""

from __future__ import annotations

from typing import Any

from IPython.terminal.prompts import Prompts
from pygments.token import Token  # type: ignore[import-untyped]

from rdaq_ophyd.startup import Session
from rdaq_ophyd.stop import latch

__all__ = ["follow_signals", "show_latch"]


class LatchPrompts(Prompts):
    """A prompt that says when everything is stopped."""

    def in_prompt_tokens(self) -> list[Any]:
        """``[STOPPED] In [1]:`` while the latch is set."""
        tokens: list[Any] = super().in_prompt_tokens()
        return [(Token.Generic.Error, "[STOPPED] "), *tokens] if latch.tripped else tokens


def show_latch(shell: Any) -> None:
    """Let the prompt say when everything is stopped; a kernel has none."""
    if hasattr(shell, "prompts"):
        shell.prompts = LatchPrompts(shell)


def follow_signals(shell: Any, session: Session) -> None:
    """SIGTERM ends the shell, which takes ``SystemExit`` for a slip; the second Ctrl-C counts at the prompt, too."""
    if not hasattr(shell, "mainloop"):
        return  # a kernel ends by messages, not by signals

    mainloop = shell.mainloop

    def leave() -> None:
        shell.keep_running = False

    def then_exit(*args: Any, **kwargs: Any) -> None:
        mainloop(*args, **kwargs)
        if session.signals.ending:
            raise SystemExit(128 + session.signals.ending)

    session.signals.leave = leave
    shell.mainloop = then_exit
    _count_at_prompt(shell, session)


def _count_at_prompt(shell: Any, session: Session) -> None:
    """Where the prompt reads keys itself, Ctrl-C is no signal but a key."""
    application = getattr(shell, "pt_app", None)
    if application is None or application.key_bindings is None:
        return
    from prompt_toolkit.filters import Condition

    @application.key_bindings.add("c-c", filter=Condition(lambda: session.signals.just_interrupted), eager=True)
    def _again(_event: Any) -> None:
        session.signals.stop_everything("Ctrl-C twice")
