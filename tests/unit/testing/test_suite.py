"""What a suite says of itself before a test is run."""

import pytest
from labsuites import OfLamp, OfStage

from rdaq_ophyd.devices.synthetic import SyntheticCamera
from rdaq_ophyd.link import SerialLink, TcpLink
from rdaq_ophyd.testing import Bench


class Camera(OfLamp):
    """Somebody names a camera."""

    def make(self, link):
        return SyntheticCamera(None, "camera")


class Axis(OfStage):
    """Somebody names what moves another device."""

    def make(self, link):
        return object()


class TestOfSuites:
    @pytest.mark.parametrize(("suite", "kind"), [(Camera, "SyntheticCamera"), (Axis, "object")])
    def test_a_device_without_a_line_is_told(self, suite, kind, tmp_path):
        message = f"{suite.__name__}: `make` gives a {kind}, which is no LinkDevice.*a camera.*has none"
        with pytest.raises(TypeError, match=message):
            suite()._setting_params()  # as pytest collects
        with pytest.raises(TypeError, match=message), Bench(suite(), tmp_path):
            pass

    @pytest.mark.parametrize("hint", ["skip", "values"])
    def test_hints_for_settings_that_are_not_there(self, hint):
        suite = type("Suite", (OfStage,), {hint: {"velocity": "a reason"}})
        with pytest.raises(ValueError, match=r"name no setting: \['velocity'\]; there are \['speed'\]"):
            suite()._setting_params()

    @pytest.mark.parametrize("hint", ["changing", "local"])
    def test_hints_for_signals_that_are_not_there(self, hint):
        suite = type("Suite", (OfStage,), {hint: ["velocity"]})
        with pytest.raises(ValueError, match=r"name no signal: \['velocity'\]"):
            suite()._setting_params()

    @pytest.mark.parametrize(("url", "kind"), [("tcp://127.0.0.1:9", TcpLink), ("/dev/ttyS99", SerialLink)])
    def test_the_link_of_a_suite_loses_no_time(self, url, kind):
        link = OfLamp().open_link(url)
        assert type(link) is kind
        assert link.reply == OfLamp().make(url).protocol.reply
