"""Documents to Kafka, by bluesky-kafka's publisher: to the broker that librdkafka plays in its own process."""

from __future__ import annotations

import threading

import pytest
from nginx import free_ports
from proxied import wait_for

from rdaq_ophyd.errors import PublishError
from rdaq_ophyd.publish import KafkaTarget, _wires, publish

bluesky_kafka = pytest.importorskip("bluesky_kafka", reason="bluesky-kafka is not installed (extra kafka)")
confluent_kafka = pytest.importorskip("confluent_kafka")

#: librdkafka's own stand-in for a cluster: brokers on TCP ports of this machine that speak Kafka's protocol.
STAND_IN = {"test.mock.num.brokers": 1, "message.timeout.ms": 5000}


def documents(number):
    return [("start", {"uid": "a", "time": 1.0})] + [("event", {"seq_num": n}) for n in range(1, number)]


@pytest.fixture
def opened(monkeypatch):
    """The wire that is opened, for a look at what only it knows."""
    made, there = [], threading.Event()
    usual = _wires._opened

    def keep(target):
        made.append(usual(target))
        there.set()
        return made[0]

    monkeypatch.setattr(_wires, "_opened", keep)

    def wire():
        assert there.wait(20)
        return made[0]

    return wire


def test_documents_come_out_at_a_consumer_in_order(opened):
    publishing = publish(KafkaTarget("127.0.0.1:1", "lab", STAND_IN))
    try:
        found = {}
        wait_for(lambda: found.update(opened()._publisher.get_cluster_metadata(5).brokers) or found)
        servers = ",".join(f"{broker.host}:{broker.port}" for broker in found.values())
        sent = documents(20)
        for name, document in sent:
            publishing(name, document)
        heard = []
        dispatcher = bluesky_kafka.RemoteDispatcher(
            topics=["lab"],
            bootstrap_servers=servers,
            group_id="test",
            consumer_config={"auto.offset.reset": "earliest"},
        )
        dispatcher.subscribe(lambda name, document: heard.append((name, document)))
        dispatcher.start(continue_polling=lambda: len(heard) < len(sent))
        dispatcher.stop()
        assert heard == sent
        assert (publishing.counts.published, publishing.counts.missed) == (20, 0)
    finally:
        publishing.close()


def test_without_a_broker_nobody_waits_and_all_is_counted_when_it_is_given_up(caplog):
    (port,) = free_ports(1)
    publishing = publish(KafkaTarget(f"127.0.0.1:{port}", "lab", {"message.timeout.ms": 300}))
    for name, document in documents(5):
        publishing(name, document)
    wait_for(lambda: publishing.counts.missed == 5)
    assert publishing.counts.published == 0
    publishing.close()
    assert "documents were left out" in caplog.text


def test_what_is_not_there_at_the_end_is_counted(caplog):
    (port,) = free_ports(1)
    publishing = publish(KafkaTarget(f"127.0.0.1:{port}", "lab", {"message.timeout.ms": 60_000}))
    publishing("start", {"uid": "a"})
    publishing.close()
    assert (publishing.counts.published, publishing.counts.missed) == (0, 1)
    assert "1 documents were left out until the end" in caplog.text


def test_a_queue_that_is_full_takes_no_more(opened):
    (port,) = free_ports(1)
    settings = {"message.timeout.ms": 60_000, "queue.buffering.max.messages": 3}
    publishing = publish(KafkaTarget(f"127.0.0.1:{port}", "lab", settings))
    for name, document in documents(10):
        publishing(name, document)
    wait_for(lambda: sum(vars(publishing.counts).values()) == 10)
    assert publishing.counts.missed == 7
    publishing.close()
    assert publishing.counts.missed == 10


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(_wires.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(PublishError, match=r"pip install 'rdaq-ophyd\[kafka\]'"):
        publish(KafkaTarget("127.0.0.1:1", "lab"))
