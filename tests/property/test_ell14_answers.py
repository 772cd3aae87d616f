"""Whatever a bus says, an answer is that of the device that was asked, however the bytes were cut."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.devices._ell14_info import Info, MotorInfo
from rdaq_ophyd.devices._ell14_protocol import (
    ADDRESSES,
    HIGHEST,
    LENGTHS,
    LOWEST,
    PROTOCOL,
    REPLIES,
    Answer,
    digits,
    payload,
    pulses,
)
from rdaq_ophyd.errors import InstrumentError

addresses = st.sampled_from(ADDRESSES)
hexadecimal = "0123456789ABCDEF"
frames = st.one_of(
    *(
        st.builds(
            "{}{}{}".format, addresses, st.just(letters), st.text(hexadecimal, min_size=length, max_size=length)
        ).map(str.encode)
        for letters, length in {**LENGTHS, "BO": 8, "BS": 2}.items()
    ),
    st.binary(max_size=20).filter(lambda b: b"\r\n" not in b + b"\r" and not b.startswith(b"\n")),
)
questions = st.builds("{}{}".format, addresses, st.sampled_from([*REPLIES, "gs", "sv32", "us"]))


@given(questions, st.lists(frames, max_size=12), st.lists(st.integers(0, 300), max_size=8))
def test_only_ones_own_answer_is_taken(question, said, cuts):
    data = b"".join(frame + b"\r\n" for frame in said)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    framing, buffer, found = PROTOCOL.framing(question), bytearray(), None
    for start, end in itertools.pairwise(edges):
        buffer += data[start:end]
        if (found := framing.cut(buffer)) is not None:
            break
    letters = REPLIES.get(question[1:3], "GS").encode()
    mine = [
        frame
        for frame in said
        if frame[:1] == question[:1].encode()
        and ((frame[1:3] == letters and len(frame) == 3 + LENGTHS[letters.decode()]) or frame[1:] in REFUSED)
        and set(frame[3:].decode("latin-1")) <= set(hexadecimal)
    ]
    assert found == (mine[0] if mine else None)


REFUSED = (b"GS03", b"GS04", b"GS05")


@given(st.integers(LOWEST, HIGHEST), addresses)
def test_positions_come_back_as_they_went(value, address):
    assert pulses(f"{address}PO{digits(value)}") == value


@given(st.text(hexadecimal, min_size=30, max_size=30), st.text(hexadecimal, min_size=22, max_size=22))
def test_whatever_a_device_says_of_itself_is_read_or_refused(said, motor):
    try:
        info = Info.parse(f"0IN{said}")
    except ValueError as error:
        assert "year" in str(error) or "travel" in str(error)
    else:
        assert (info.serial, info.model) == (said[2:10], int(said[:2], 16))
        assert info.model != 14 or info.per_degree > 0
    assert MotorInfo.parse(f"0I1{motor}").current >= 0


@given(st.integers(0, 255))
def test_a_refused_question_has_no_value(code):
    try:
        payload(f"7GS{code:02X}")
    except InstrumentError as error:
        assert error.code == code
        assert "address 7" in error.device
    else:
        raise AssertionError("no error")


def test_a_new_address_answers_from_there():
    assert PROTOCOL.framing("0caB") == Answer("B", "GS")
