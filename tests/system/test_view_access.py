"""The page for people without a mouse, in dark rooms, and who do not see all colours; and for those who listen in."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from benchmarks._browser import PROGRAM
from viewed import camera_rig

import rdaq_ophyd.server as server_package

needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)")
PAGE = Path(server_package.__file__).parent / "page"
THEMES = {"dark": ":root {", "light": ':root[data-theme="light"] {'}
READABLE, VISIBLE = 4.5, 3.0
"""Contrasts that WCAG 2.2 asks for: of text (1.4.3), and of what must be seen to be used (1.4.11)."""
#: Machado, Oliveira and Fernandes 2009, severity 1.0: what people without one kind of cones see, in linear RGB.
BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def linear(colour):
    """``#rrggbb``, or bytes of shape (…, 3), as linear RGB from 0 to 1."""
    if isinstance(colour, str):
        colour = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    part = np.asarray(colour, float) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def luminance(colour):
    """Relative, as WCAG 2.2 defines it."""
    return linear(colour) @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def theme(name):
    style = (PAGE / "style.css").read_text()
    block = style.split(THEMES[name])[1].split("}")[0]
    found = dict(re.findall(r"--(\w+): (#\w+);", block))
    return {
        key: value if len(value) == 7 else "#" + "".join(2 * digit for digit in value[1:])
        for key, value in found.items()
    }


def maps():
    """The colour maps of the page: name, and 65 colours of shape (65, 3)."""
    text = (PAGE / "colormaps.js").read_text()
    for name, table in re.findall(r'(\w+):\s*((?:"[0-9a-f ]+"[\s+,]*)+)', text):
        colours = "".join(re.findall(r'"([^"]+)"', table)).split()
        yield name, np.array([[int(colour[place : place + 2], 16) for place in (0, 2, 4)] for colour in colours])


def traces(name):
    text = (PAGE / "plot.js").read_text()
    return re.findall(r"#[0-9a-f]{6}", text.split(f"  {name}: [")[1].split("]")[0])


# -- colours --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", THEMES)
def test_text_is_readable_in_each_theme(name):
    colours = theme(name)
    assert colours.keys() >= {"back", "panel", "field", "text", "dim", "accent", "bad", "good", "warn", "link", "edge"}
    for kind in ("text", "dim", "bad", "good", "warn", "link"):
        for ground in ("back", "panel", "field"):
            assert contrast(colours[kind], colours[ground]) >= READABLE, (kind, ground)
    for ground in ("panel", "field"):
        assert contrast(colours["edge"], colours[ground]) >= VISIBLE
        assert contrast(colours["accent"], colours[ground]) >= VISIBLE  # of the focus
    for colour in traces(name):
        assert contrast(colour, colours["field"]) >= VISIBLE, colour


def test_stop_is_readable_whatever_the_theme():
    style = (PAGE / "style.css").read_text()
    for rule in ("#stop {", "#stop:hover, .stopping #stop {"):
        (ground,) = re.findall(r"background: (#\w{6})", style.split(rule)[1].split("}")[0])
        assert contrast("#ffffff", ground) >= READABLE, rule


@pytest.mark.parametrize("name", THEMES)
def test_traces_differ_for_people_without_one_kind_of_cones(name):
    for blindness in BLIND.values():
        seen = [np.clip(np.array(blindness) @ linear(colour), 0, 1) for colour in traces(name)[:6]]
        for one, other in combinations(seen, 2):
            assert np.linalg.norm(np.sqrt(one) - np.sqrt(other)) > 0.1


@pytest.mark.parametrize(("name", "table"), list(maps()), ids=lambda value: value if isinstance(value, str) else "")
def test_colour_maps_grow_lighter_evenly_also_for_colour_blind_people(name, table):
    assert name in ("viridis", "cividis", "gray")
    wanted = np.rint(np.array(matplotlib.colormaps[name](np.linspace(0, 1, len(table))))[:, :3] * 255)
    assert np.abs(table - wanted).max() <= 3  # 65 colours of 256
    for blindness in (np.eye(3), *map(np.array, BLIND.values())):
        seen = np.clip(linear(table) @ blindness.T, 0, 1) @ [0.2126, 0.7152, 0.0722]
        assert all(later > before for before, later in pairwise(np.cbrt(seen)))


#: A page with a form, and with all that can be opened open.
OPENED = """(document.getElementById('plan-choice').value = 'fly_stack', rdaq.plans.choose(),
    document.querySelectorAll('details').forEach((each) => (each.open = true)))"""
UNNAMED = """[...document.querySelectorAll('section')].filter((each) => !each.ariaLabel
    && !document.getElementById(each.getAttribute('aria-labelledby'))).length"""
TWICE = """((ids) => ids.filter((id, at) => ids.indexOf(id) !== at))(
    [...document.querySelectorAll('[id]')].map((each) => each.id))"""
NOWHERE = """[...document.querySelectorAll('[aria-describedby]')].flatMap((each) =>
    each.getAttribute('aria-describedby').split(' ')).filter((id) => !document.getElementById(id))"""
ATTEMPTS = [
    "fetch('http://127.0.0.1:9/x').then(() => 'went').catch(() => 'refused')",
    """new Promise((done) => {
        const picture = new Image();
        picture.onload = () => done('went');
        picture.onerror = () => done('refused');
        picture.src = 'http://127.0.0.1:9/x.png';
    })""",
    "import('data:text/javascript,1').then(() => 'went').catch(() => 'refused')",
    """((script) => {
        script.textContent = 'window.ran = 1';
        document.body.append(script);
        return window.ran ? 'went' : 'refused';
    })(document.createElement('script'))""",
]
"""What a page of another kind would do: ask others, load their pictures, run what is no file of the rig."""


# -- keys and names -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with camera_rig(tmp_path_factory.mktemp("frames"), 64, 48) as made:
        yield made


@pytest.fixture(scope="module")
def tab(page):
    page.until("rdaq.plans.plans.size")
    page.run(OPENED)
    page.until("document.querySelectorAll('details.others .row').length > 5")
    return page


def ax_tree(tab):
    """What a screen reader is told: role and name of all that can have the focus."""
    tab.ask("Accessibility.enable")
    for node in tab.ask("Accessibility.getFullAXTree")["nodes"]:
        properties = {each["name"]: each["value"].get("value") for each in node.get("properties", [])}
        if properties.get("focusable") and not node.get("ignored"):
            yield node["role"]["value"], node.get("name", {}).get("value", "").strip()


@needs_chromium
def test_all_that_can_be_used_has_a_name(tab):
    found = [(role, name) for role, name in ax_tree(tab) if role not in ("RootWebArea", "generic")]
    assert len(found) > 60
    assert [role for role, name in found if not name] == []
    assert ("button", "STOP Esc · software stop") in found


@needs_chromium
def test_each_button_of_a_device_says_of_which_and_values_do_not_talk_by_themselves(tab):
    """Buttons are heard out of their places; a value that is read each second would be told each second."""
    buttons = "[...document.querySelectorAll('#devices button')]"
    named = tab.run(f"{buttons}.map((each) => [each.ariaLabel, each.textContent])")
    assert len({name for name, _ in named}) == len(named) > 5
    assert ["cam.exposure: Set", "Set"] in named
    assert tab.run("[...document.querySelectorAll('output')].filter((each) => each.ariaLive !== 'off').length") == 0
    assert tab.run("document.querySelector('#devices > details').ariaLabel") == "cam"
    names = {name for _, name in ax_tree(tab)}
    assert {"Refresh devices", "Refresh recent runs"} <= names


@needs_chromium
def test_the_form_of_a_plan_tells_units_and_limits(tab):
    tab.ask("Accessibility.enable")
    nodes = [each for each in tab.ask("Accessibility.getFullAXTree")["nodes"] if "name" in each]
    told = {(each["role"]["value"], each["name"]["value"]): each.get("description", {}).get("value") for each in nodes}
    assert "above 0 to 3600 s" in told["spinbutton", "exposure"]
    assert {("form", "Start a plan"), ("list", "Log")} <= set(told)


@needs_chromium
def test_each_section_has_a_heading_or_a_name_and_no_id_is_there_twice(tab):
    assert tab.run(UNNAMED) == 0
    assert tab.run(TWICE) == []
    assert tab.run(NOWHERE) == []
    assert tab.run("document.documentElement.lang") == "en"


@needs_chromium
def test_tab_goes_through_everything_once_in_the_order_of_the_page(tab):
    """The order of the focus is that of the document, and nothing holds it."""
    assert tab.run("document.querySelectorAll('[tabindex]:not([tabindex=\"0\"])').length") == 0
    tab.run("(document.activeElement.blur(), scrollTo(0, 0), rdaq.all = [...document.querySelectorAll('*')])")
    seen = []
    for _ in range(300):
        tab.key("Tab")
        place = tab.run("rdaq.all.indexOf(document.activeElement)")
        if seen and place <= seen[0]:
            break
        seen.append(place)
        if len(seen) % 20 == 0:  # what has the focus is to be seen, and shows it
            box = tab.run("((box) => [box.width, box.top])(document.activeElement.getBoundingClientRect())")
            assert box[0] > 0
            assert tab.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert len(seen) > 50
    assert seen == sorted(seen)
    assert tab.run("rdaq.all.indexOf(document.getElementById('stop'))") in seen


@needs_chromium
def test_a_region_and_a_line_are_made_and_moved_by_keys(tab):
    tab.run("rdaq.image.overlay.view = {x: 32, y: 24, zoom: 8}")
    tab.run("document.getElementById('overlay').focus()")
    tab.key("r")
    roi = tab.until("rdaq.image.overlay.roi && {...rdaq.image.overlay.roi}")
    assert roi["width"] > 0
    tab.key("ArrowRight", shift=True)
    assert tab.run("rdaq.image.overlay.roi.x") == roi["x"] + 1
    tab.key("ArrowDown", shift=True, alt=True)
    assert tab.run("rdaq.image.overlay.roi.height") == roi["height"] + 1
    tab.key("l")
    line = tab.until("rdaq.image.overlay.line && {...rdaq.image.overlay.line}")
    tab.key("ArrowUp", shift=True)
    assert tab.run("rdaq.image.overlay.line.y0") == line["y0"] - 1
    tab.key("ArrowLeft", shift=True, alt=True)
    assert tab.run("rdaq.image.overlay.line.x1") == line["x1"] - 1
    tab.key("Delete")
    assert tab.run("rdaq.image.overlay.roi === null && rdaq.image.overlay.line === null")


# -- who is asked ---------------------------------------------------------------------------------------------


@needs_chromium
def test_nobody_but_the_rig_is_asked_and_nothing_of_others_can_be(tab):
    here = tab.run("location.host")
    assert all(url.split("://")[1].split("/")[0] == here for url in tab.requests())
    for attempt in ATTEMPTS:
        assert tab.run(attempt) == "refused"
    said = [error for error in tab.errors() if "Content Security Policy" in error]
    assert len(said) >= 3
    tab.events.clear()
