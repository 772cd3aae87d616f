"""Leases: read-only, released once, the buffer goes back with the last array."""

import gc
import logging
import sys
import threading

import numpy as np
import pytest

from rdaq_ophyd.errors import FrameReleased
from rdaq_ophyd.frames import FrameRef, LeaseBook


def lease(returned, book=None, sequence=7):
    buffer = np.arange(12, dtype="<u2").reshape(3, 4)
    ref = FrameRef(
        buffer, sequence=sequence, host_time=1.5, camera="cam", give_back=lambda: returned.append(1), book=book
    )
    return buffer, ref


def test_array_is_a_read_only_view_of_the_buffer():
    buffer, ref = lease([])
    with ref:
        assert np.shares_memory(ref.array, buffer)
        assert not ref.array.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            ref.array.flags.writeable = True
        buffer[0, 0] = 99
        assert ref.array[0, 0] == 99
        assert (ref.sequence, ref.host_time, ref.nbytes) == (7, 1.5, 24)


def test_array_after_release_raises_and_says_what_to_do():
    _, ref = lease([])
    assert "held" in repr(ref)
    ref.release()
    ref.release()
    assert ref.released
    assert "released" in repr(ref)
    with pytest.raises(FrameReleased, match="frame 7 was released → take"):
        _ = ref.array


def test_buffer_goes_back_once_at_release():
    returned = []
    _, ref = lease(returned)
    assert not returned
    ref.release()
    ref.release()
    assert returned == [1]


def test_a_thread_can_wait_until_a_buffer_is_back():
    book, returned = LeaseBook("cam"), []
    held = [lease(returned, book)[1] for _ in range(2)]
    assert book.wait_below(3, 0)
    assert not book.wait_below(2, 0.01)
    shared = held[0].share("viewer")
    timer = threading.Timer(0.02, held[0].release)
    timer.start()
    assert not book.wait_below(2, 0.05), "another lease on the same buffer is alive"
    timer.join()
    timer = threading.Timer(0.02, shared.release)
    timer.start()
    assert book.wait_below(2, 30)
    timer.join()
    held[1].release()


def test_a_buffer_counts_as_out_until_it_is_back(monkeypatch):
    book, seen, failed = LeaseBook("cam"), [], []
    monkeypatch.setattr(sys, "unraisablehook", failed.append)
    pixels = np.zeros((3, 4), "<u2")

    def give_back():
        seen.append(len(book))
        raise OSError("the camera is gone")

    ref = FrameRef(pixels, sequence=0, host_time=0.0, give_back=give_back, book=book)
    ref.release()
    assert seen == [1], "the next frame would be asked for while the camera has no buffer for it"
    assert len(book) == 0
    assert [str(what.exc_value) for what in failed] == ["the camera is gone"]


@pytest.mark.parametrize("derive", [lambda a: a, lambda a: a[1:], lambda a: a.T[::2], lambda a: a.reshape(-1)[3:5]])
def test_an_array_taken_earlier_pins_the_buffer(derive):
    returned = []
    _, ref = lease(returned)
    array = derive(ref.array)
    ref.release()
    assert not returned
    array.copy()
    assert not returned
    del array
    assert returned == [1]


def test_each_shared_lease_counts():
    returned = []
    _, ref = lease(returned)
    other = ref.share()
    ref.release()
    assert not returned
    assert other.array[2, 3] == 11
    other.release()
    assert returned == [1]
    with pytest.raises(FrameReleased):
        other.share()


def test_dropping_without_release_is_named(caplog):
    returned = []
    _, ref = lease(returned)
    with caplog.at_level(logging.WARNING):
        del ref
        gc.collect()
    assert "cam: frame 7 was dropped without release()" in caplog.text
    assert returned == [1]


def test_book_names_a_lease_that_lasts_too_long_once(caplog):
    book = LeaseBook("cam")
    _, ref = lease([], book)
    assert len(book) == 1
    assert book.overdue(60) == []
    assert book.overdue(-1) == [7]
    with caplog.at_level(logging.WARNING):
        book.warn_overdue(60)
        assert not caplog.records
        book.warn_overdue(-1)
        book.warn_overdue(-1)
    assert len([r for r in caplog.records if "frame 7 has kept its buffer" in r.message]) == 1
    ref.release()
    assert len(book) == 0


def test_a_buffer_with_gaps_is_refused():
    with pytest.raises(ValueError, match="not contiguous"):
        FrameRef(np.zeros((4, 4))[:, ::2], sequence=0, host_time=0.0)


def test_many_threads_release_and_derive_one_return():
    for _ in range(50):
        returned = []
        _, ref = lease(returned)
        start = threading.Barrier(4)

        def work(ref=ref, start=start):
            start.wait()
            try:
                view = ref.array[1:]
                assert view.sum() >= 0
            except FrameReleased:
                pass
            ref.release()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert returned == [1]


@pytest.mark.parametrize("part", [np.s_[:], np.s_[2:], np.s_[:2], np.s_[1:3]])
def test_a_lease_on_a_part_of_a_leased_buffer_has_that_part(part):
    buffer = np.arange(12, dtype="<u2").reshape(4, 3)
    with FrameRef(buffer, sequence=1, host_time=1.0) as whole:
        with FrameRef(whole.array[part], sequence=1, host_time=1.0) as some, some.share() as shared:
            for ref in (some, shared):
                np.testing.assert_array_equal(ref.array, buffer[part])
                assert np.shares_memory(ref.array, buffer)
                assert not ref.array.flags.writeable
        with FrameRef(whole.array.view("<i2"), sequence=1, host_time=1.0) as other:
            assert other.array.dtype == np.dtype("<i2")
