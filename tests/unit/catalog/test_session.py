"""The session's side, without a server (with one: tests/system and tests/fault)."""

import pickle
import threading

import pytest

from rdaq_ophyd.catalog import EmbeddedCatalog, SecretKey, SessionCatalog
from rdaq_ophyd.catalog._backlog import Delivery, write_delivery
from rdaq_ophyd.errors import CatalogError


@pytest.fixture
def catalog(tmp_path):
    catalog = EmbeddedCatalog(tmp_path, profile=None, patience=0.05)
    yield catalog
    catalog.close()


def begin(catalog, uid="u"):
    catalog.spool("start", {"uid": uid})


def test_what_is_not_delivered_is_counted_and_waited_for_within_a_bound(catalog):
    assert catalog.wait_drained(timeout=0)
    begin(catalog)
    catalog.spool("descriptor", {"uid": "d", "run_start": "u"})
    assert catalog.behind() == 2
    assert not catalog.wait_drained(timeout=0.05)
    assert catalog.wait_drained("another", timeout=0.05)


def test_waiting_ends_when_what_was_there_is_delivered_though_the_run_goes_on(catalog):
    begin(catalog)
    path = catalog.spool.path("u")
    write_delivery(path, Delivery(bytes=path.stat().st_size, documents=1))
    assert catalog.wait_drained("u", timeout=0)


def test_a_run_that_was_given_up_is_an_error_and_does_not_hide_the_others(catalog, caplog, monkeypatch):
    monkeypatch.setattr(catalog, "ready", lambda: "address")
    begin(catalog)
    write_delivery(catalog.spool.path("u"), Delivery(parked=True, error="422: no"))
    with pytest.raises(CatalogError, match="422: no") as caught:
        catalog.wait_drained("u", timeout=5)
    assert "safe in" in caught.value.hint
    catalog._wait_for_view()
    assert "422: no" in caplog.text


def test_the_view_says_when_it_is_incomplete(catalog, caplog, monkeypatch):
    monkeypatch.setattr(catalog, "ready", lambda: "address")
    begin(catalog)
    catalog._wait_for_view()
    assert "still 1 documents behind" in caplog.text
    assert "delivery is under way" in caplog.text


def test_the_end_says_what_stays_for_the_next_session(catalog, caplog):
    begin(catalog)
    assert catalog.close() == 1
    assert "1 documents stay" in caplog.text


def test_nothing_runs_before_it_is_started(catalog):
    assert catalog.server_pid is None
    assert catalog.worker_pid is None
    assert not catalog.serving
    assert not catalog.attached
    assert catalog.last_error() == ""
    assert repr(catalog) == f"EmbeddedCatalog({str(catalog.layout.root)!r})"


def test_a_server_that_cannot_start_is_an_error_with_its_last_words(catalog):
    (catalog.layout.catalog / "port.json").mkdir()  # the server cannot remember its port there
    with pytest.raises(CatalogError, match=r"did not start(.|\n)*port.json") as caught:
        catalog.ready(timeout=100)
    assert "recorded all the same" in caught.value.hint


def test_a_server_that_takes_too_long_is_an_error(catalog):
    with pytest.raises(CatalogError, match="did not start"):
        catalog.ready(timeout=0.01)


def test_the_key_does_not_show_itself():
    key = SecretKey("abc")
    assert f"{key!r} {[key]}" == "'***' ['***']"
    assert key == "abc"


def test_the_view_waits_before_each_look_and_hands_everything_else_on():
    waits = []
    view = SessionCatalog(lambda: {"a": 1}, lambda: waits.append(1))
    assert (view["a"], list(iter(view)), len(view), "a" in view, repr(view)) == (1, ["a"], 1, True, "{'a': 1}")
    assert list(view.items()) == [("a", 1)]
    assert len(waits) == 6
    with pytest.raises(AttributeError):
        view._repr_html_  # noqa: B018 - IPython asks
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(view)
    assert len(waits) == 6


def test_trouble_with_the_disk_does_not_end_the_keeping(tmp_path, monkeypatch, caplog):
    looks = []

    def look(self):
        looks.append(len(looks))
        raise OSError("no space left")

    monkeypatch.setattr(EmbeddedCatalog, "_keep_once", look)
    monkeypatch.setattr("rdaq_ophyd.catalog._session._KEEP_EVERY", 0.001)
    catalog = EmbeddedCatalog(tmp_path, profile=None)
    catalog.start()
    for _ in range(10_000):
        if len(looks) > 3:
            break
        threading.Event().wait(0.001)
    catalog.close()
    assert len(looks) > 3
    assert caplog.text.count("no space left") == 1
