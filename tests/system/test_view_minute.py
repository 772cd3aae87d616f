"""A camera of 200 frames a second and a card of 8 × 10 kHz at once, in a daemon of its own and a real browser."""

from __future__ import annotations

import pytest
from benchmarks._browser import PROGRAM
from benchmarks._minute import watch_minute
from benchmarks._minute_server import CHANNELS, RATE, SAMPLES, SIZE
from full import only_in_full

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)"),
    pytest.mark.usefixtures("untraced"),
    pytest.mark.timeout(300),
]
MIB = 1 << 20
FRAMES = 2 * SIZE * SIZE * RATE
"""Bytes a second; and of the samples, with what the levels of the history add."""
SAMPLED = 4 * CHANNELS * SAMPLES * (1 + 2 / 15)
WARM = 1.5


@pytest.mark.parametrize("seconds", [3.0, pytest.param(60.0, marks=only_in_full)])
def test_all_is_shown_or_accounted_for_and_neither_side_grows(browser, seconds):
    found = watch_minute(browser, seconds, WARM)
    assert found.exact_frames
    assert found.exact_samples
    assert found.shown > 0
    assert found.as_fast == pytest.approx(1, rel=0.1)
    # A daemon that kept what it could not send would have all but the few frames that are shown.
    assert found.daemon < min(24 * MIB, 0.8 * seconds * FRAMES)
    # The history fills, once in the page's memory and once on the GPU, and then it is full.
    history = 2 * min(found.history, (WARM + seconds) * SAMPLED)
    assert found.browser < history + 48 * MIB
    assert found.heap < 8 * MIB
