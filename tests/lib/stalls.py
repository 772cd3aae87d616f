"""A driver whose frames wait in its buffers, because nobody takes them out for a while."""

from __future__ import annotations

import threading

STALL = 0.4
"""How long, s."""


def through_a_stall(driver, before=3, after=6):
    """The sequence, host and hardware times of frames of a driver that was started, around a stall."""

    def take(number):
        found = []
        while len(found) < number:
            if (ref := driver.next_frame(5.0)) is not None:
                found.append((ref.sequence, ref.host_time, ref.hardware_time))
                ref.release()
        return found

    first = take(before)
    threading.Event().wait(STALL)
    return [*first, *take(after)]


def spread(frames, tick=1e-9):
    """How much later some frames reached the host than others, by the camera's clock, s."""
    late = [host - ticks * tick for _, host, ticks in frames]
    return max(late) - min(late)
