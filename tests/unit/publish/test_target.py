"""Addresses to publish to: what they mean, and which are refused, with a next step."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rdaq_ophyd.errors import NotAllowed, PublishError
from rdaq_ophyd.publish import KafkaTarget, ZmqTarget, from_environment, target_of


@pytest.fixture
def keys(tmp_path):
    for name in ("rig.key_secret", "proxy.key"):
        (tmp_path / name).write_text("key")
    return f"secret_key={tmp_path / 'rig.key_secret'}&server_key={tmp_path / 'proxy.key'}"


def test_a_proxy_of_this_machine():
    assert target_of("zmq://127.0.0.1:5567") == ZmqTarget("tcp://127.0.0.1:5567")
    assert target_of("zmq://localhost:5567/?prefix=lab&serializer=json") == ZmqTarget(
        "tcp://localhost:5567", "lab", "json"
    )
    assert target_of("zmq://[::1]:5567").address == "tcp://[::1]:5567"
    assert target_of("zmq+ipc:///run/rdaq/in?prefix=lab") == ZmqTarget("ipc:///run/rdaq/in", "lab")
    assert str(target_of("zmq://127.0.0.1:5567?prefix=lab")) == "zmq tcp://127.0.0.1:5567 (lab)"


def test_another_machine_needs_keys(keys):
    with pytest.raises(NotAllowed, match="other.*is another machine.*give secret_key and server_key"):
        target_of("zmq://other.lab.example:5567")
    made = target_of(f"zmq://other.lab.example:5567?{keys}")
    assert (made.secret_key.name, made.server_key.name) == ("rig.key_secret", "proxy.key")
    with pytest.raises(PublishError, match="one key of two"):
        target_of("zmq://127.0.0.1:1?" + keys.split("&")[0])


def test_kafka_elsewhere_needs_tls_and_a_file_of_ones_own(tmp_path):
    config = tmp_path / "kafka.toml"
    config.write_text('"security.protocol" = "SASL_SSL"\n"sasl.password" = "secret"\n')
    config.chmod(0o600)
    made = target_of(f"kafka://a.example:9092,b.example:9093/lab?config={config}")
    assert made == KafkaTarget("a.example:9092,b.example:9093", "lab", made.settings)
    assert "secret" not in repr(made)
    assert target_of("kafka://127.0.0.1:9092/lab").settings == {}
    with pytest.raises(NotAllowed, match="b.example is another machine"):
        target_of("kafka://127.0.0.1:9092,b.example:9092/lab")
    config.chmod(0o644)
    with pytest.raises(PublishError, match="others may read it → chmod 600"):
        target_of(f"kafka://a.example:9092/lab?config={config}")
    config.chmod(0o600)
    config.write_text("[x")
    with pytest.raises(PublishError, match="lines such as"):
        target_of(f"kafka://a.example:9092/lab?config={config}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("127.0.0.1:5567", "no address to publish to"),
        ("http://127.0.0.1:5567", "no address to publish to"),
        ("zmq://127.0.0.1", "no host with a port"),
        ("zmq://127.0.0.1:0", "no host with a port"),
        ("zmq://127.0.0.1:99999", "such as zmq://"),
        ("zmq://127.0.0.1:1/path", "no host with a port"),
        ("zmq+ipc://", "no path"),
        ("zmq://127.0.0.1:1?prefix=a%20b", "a prefix has no spaces"),
        ("zmq://127.0.0.1:1?prefx=a", "did you mean prefix"),
        ("zmq://127.0.0.1:1?serializer=yaml", "one of pickle, json"),
        ("zmq://127.0.0.1:1?prefix", "such as zmq://"),
        ("zmq://127.0.0.1:1?secret_key=a&server_key=b", "give the whole path"),
        ("zmq://127.0.0.1:1?secret_key=/nowhere/a&server_key=/nowhere/b", "no such file"),
        ("kafka://127.0.0.1:9092", "no brokers and topic"),
        ("kafka://127.0.0.1/lab", "no brokers and topic"),
        ("kafka://127.0.0.1:9092/lab/more", "no brokers and topic"),
    ],
)
def test_what_is_no_address_says_why(text, said):
    with pytest.raises(PublishError, match=said):
        target_of(text)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused_in_words(text):
    for said in (text, f"zmq://{text}", f"kafka://{text}"):
        try:
            target_of(said)
        except (PublishError, NotAllowed) as error:
            assert error.hint or "unknown option" in str(error)


def test_the_environment_names_several(monkeypatch):
    monkeypatch.delenv("RDAQ_PUBLISH", raising=False)
    assert from_environment() == []
    monkeypatch.setenv("RDAQ_PUBLISH", "zmq://127.0.0.1:5567  kafka://127.0.0.1:9092/lab")
    assert [str(one) for one in from_environment()] == ["zmq tcp://127.0.0.1:5567", "kafka 127.0.0.1:9092 lab"]


def test_a_path_may_begin_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("a", "b"):
        (tmp_path / name).write_text("")
    assert target_of("zmq://other:1?secret_key=~/a&server_key=~/b").secret_key == Path(tmp_path / "a")
