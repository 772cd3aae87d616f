"""Where a profile publishes documents to, in Python and in TOML."""

import pytest

from rdaq_ophyd.errors import NotAllowed, ProfileError, PublishError
from rdaq_ophyd.publish import ZmqTarget
from rdaq_ophyd.rig import Rig, from_toml

HEAD = 'format = 1\n[rig]\nname = "lab"\n'


@pytest.fixture
def lab(tmp_path):
    def make(line):
        path = tmp_path / "lab.toml"
        path.write_text(HEAD + line + "\n")
        return from_toml(path)

    return make


def test_a_python_profile_names_as_many_as_it_likes():
    rig = Rig("lab")
    assert rig.publishes == []
    rig.publish("zmq://127.0.0.1:5567?prefix=lab")
    rig.publish("kafka://127.0.0.1:9092/lab")
    assert [str(one) for one in rig.publishes] == ["zmq tcp://127.0.0.1:5567 (lab)", "kafka 127.0.0.1:9092 lab"]
    with pytest.raises(PublishError, match="such as zmq://"):
        rig.publish("127.0.0.1:5567")
    with pytest.raises(NotAllowed, match="another machine"):
        rig.publish("zmq://proxy.lab.example:5567")


def test_a_toml_profile_names_them_with_variables_of_the_environment(lab, monkeypatch):
    monkeypatch.setenv("PROXY_PORT", "5567")
    rig = lab('publish = ["zmq://127.0.0.1:${PROXY_PORT}?prefix=${RIG:-lab}"]')
    assert rig.publishes == [ZmqTarget("tcp://127.0.0.1:5567", "lab")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('publish = ["zmq://127.0.0.1"]', r"lab.toml:4: .*no host with a port → such as zmq://"),
        ('publish = ["zmq://127.0.0.1:1",\n  "zmq://elsewhere:1"]', r"lab.toml:\d: elsewhere is another machine"),
        ('publish = "zmq://127.0.0.1:1"', r"lab.toml:4: rig.publish = "),
        ('publish = ["zmq://127.0.0.1:${NOWHERE_SET}"]', r"NOWHERE_SET is not set"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(lab, line, said):
    with pytest.raises(ProfileError, match=said):
        lab(line)
