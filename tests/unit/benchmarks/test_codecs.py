"""The encodings that the benchmark compares carry the same samples, so that the comparison is one."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("flatbuffers", reason="flatbuffers is not installed")

from benchmarks._codecs import CODECS, ROW, SAMPLES, block, cpu


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_every_encoding_gives_back_what_it_got(codec):
    columns = block()
    data = codec.encode(columns)
    back = codec.decode(data)
    for before, after in zip(columns, back, strict=True):
        np.testing.assert_array_equal(before, after)
        assert before.dtype == after.dtype
    assert 0.8 * SAMPLES * ROW.itemsize < len(data) < 1.1 * SAMPLES * ROW.itemsize


def test_time_is_counted_by_call():
    calls = []
    spent = cpu(calls.append, 1, 0.01)
    assert 0 < spent * len(calls) < 1
    assert len(calls) % 20 == 0
