"""Statistics equal NumPy's own, whatever the frame."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rdaq_ophyd.frames import frame_statistics

FRAMES = hnp.arrays(
    st.sampled_from([np.dtype("|u1"), np.dtype("<u2")]),
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40),
)


@given(FRAMES)
def test_statistics_are_exact(frame):
    found = frame_statistics(frame)
    assert found.sum == sum(int(v) for v in frame.reshape(-1))
    assert found.max == frame.max()
    assert found.mean == found.sum / frame.size
