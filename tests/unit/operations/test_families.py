"""The table of metrics: Prometheus' conventions, and a page that has all of them."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from rdaq_ophyd.operations import FAMILIES, CallMetrics

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_are_as_prometheus_wants_them(family):
    assert re.fullmatch(r"rdaq_[a-z_]+", family.name)
    assert (family.kind == "counter") == family.name.endswith("_total")
    assert (family.kind == "histogram") <= family.name.endswith("_seconds")
    assert family.help
    assert "le" not in family.labels


def test_each_is_on_the_page_once():
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    beginnings = " ".join(re.findall(r"^```{rdaq-metrics} (.*)$", PAGE.read_text(), re.MULTILINE)).split()
    for family in FAMILIES:
        assert sum(family.name.startswith(each) for each in beginnings) == 1, family.name


def test_calls_are_counted_by_how_they_end():
    calls = CallMetrics()
    calls.count_clients(lambda: 4)
    with calls.call("Read", timed=True) as one:
        one.code = "OK"
        one.sent(100)
    with calls.call("WatchState", timed=False) as stream:
        stream.sent(10)
        stream.sent(20)
        text = generate_latest(calls.registry).decode()
        assert 'rdaq_grpc_calls_in_progress{method="WatchState"} 1.0' in text
    with pytest.raises(ValueError, match="within"), calls.call("Read", timed=True):
        raise ValueError("within")
    calls.refused("Set", "UNAUTHENTICATED")
    registry = CollectorRegistry()
    registry.register(calls.registry)  # as the whole of a daemon's metrics has it
    text = generate_latest(registry).decode()
    for line in (
        'rdaq_grpc_calls_total{code="OK",method="Read"} 1.0',
        'rdaq_grpc_calls_total{code="CANCELLED",method="WatchState"} 1.0',
        'rdaq_grpc_calls_total{code="CANCELLED",method="Read"} 1.0',
        'rdaq_grpc_calls_total{code="UNAUTHENTICATED",method="Set"} 1.0',
        'rdaq_grpc_call_seconds_count{method="Read"} 2.0',
        'rdaq_grpc_sent_messages_total{method="WatchState"} 2.0',
        'rdaq_grpc_sent_bytes_total{method="WatchState"} 30.0',
        'rdaq_grpc_calls_in_progress{method="WatchState"} 0.0',
        "rdaq_grpc_clients 4.0",
    ):
        assert line in text
    assert "rdaq_grpc_call_seconds_bucket" in text
    assert 'rdaq_grpc_call_seconds_count{method="WatchState"}' not in text
