"""Each instrument has a page of the docs, made from its driver or file; the driver says what the page needs."""

import re
from pathlib import Path

import pytest
from labdrivers import drivers

from rdaq_ophyd.declaration import shipped

DOCS = Path(__file__).parents[3] / "docs"
PAGES = DOCS / "reference" / "devices"


def test_each_instrument_has_a_page_and_each_page_an_instrument():
    made = {stem: f":::{{rdaq-device}} rdaq_ophyd.devices.{stem}\n" for stem in drivers()}
    made |= {name: f":::{{rdaq-declared}} {name}\n" for name in shipped()}
    pages = {path.stem: path.read_text() for path in PAGES.glob("*.md")}
    index = pages.pop("index")
    assert pages.keys() == made.keys()
    assert [stem for stem, page in pages.items() if not page.startswith(made[stem])] == []
    assert set(re.findall(r"^\w+$", index, re.MULTILINE)) == made.keys()


@pytest.fixture
def described(monkeypatch):
    """What the docs read from a driver."""
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    from _signals import declared

    return declared


@pytest.mark.parametrize("stem", drivers())
def test_a_driver_says_what_each_of_its_signals_is(described, stem):
    silent = [f"{cls.__name__}.{s.name}" for cls in drivers()[stem] for s in described(cls) if not s.doc.text]
    assert silent == []


def test_a_docstring_is_cut_into_paragraphs_and_fields(described):
    from _docstring import Docstring

    cut = Docstring.parse("""One
        line more.

        Of :class:`~rdaq_ophyd.frames.Camera`.

        :alarm major: it is hot,
            too hot.
        :raises LimitError: outside.
        """)
    assert cut.paragraphs == ["One line more.", "Of `Camera`."]
    assert [tuple(field) for field in cut.fields] == [
        ("alarm", "major", "it is hot, too hot."),
        ("raises", "LimitError", "outside."),
    ]
    assert [field.what for field in cut.named("alarm")] == ["major"]
