"""A frame as it comes when it comes alone."""

from rdaq_ophyd.wire import FrameParcel


def framed(header, pixels):
    """Its message."""
    parcel = FrameParcel()
    parcel.begin(header, pixels)
    return parcel.message()
