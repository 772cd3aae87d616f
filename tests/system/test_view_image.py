"""The live image in a real browser: what is on its screen is what the camera took."""

from __future__ import annotations

import io
import threading

import matplotlib
import numpy as np
import pytest
from benchmarks._browser import PROGRAM
from bluesky.run_engine import call_in_bluesky_event_loop
from cutproxy import CutProxy
from viewed import camera_rig, flown, fly, kept, looked_at, made, opened, picture, settled, view

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed (make test-deps)")
WIDTH, HEIGHT, FRAMES = 320, 240, 12
BACKGROUND = (15, 18, 20)


@pytest.fixture(scope="module")
def session(tmp_path_factory, nothing_left_by_module):
    with camera_rig(tmp_path_factory.mktemp("frames"), WIDTH, HEIGHT) as made_:
        made_.rig.calibration.add("pixel_size", 3.45, units="um")
        call_in_bluesky_event_loop(made_.rig.calibration.connect(), 10)
        yield made_


@pytest.fixture(scope="module")
def first_tab(page, session):
    tapped(page, session, 1)
    return page


@pytest.fixture(scope="module")
def frame(first_tab, session):
    """The one that is on the screen, from the file."""
    return flown(session, FRAMES, first_tab)[0]


@pytest.fixture
def tab(first_tab, frame):
    view(first_tab, fit=True, auto=False, log=False, colourMap="gray", low=0, high=65535, saturated=65535)
    return first_tab


def tapped(tab, session, number):
    """Wait until so many pages look at the camera."""
    fan = session.rig["cam"]._pipeline.fan
    for _ in range(1500):
        if len(fan._taps) == number:
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"{len(fan._taps)} taps; {tab.errors()}")


def again(tab, session, act="rdaq.image.choose()", number=1):
    """Let the page begin to look anew; its tap."""
    before = session.rig["cam"]._pipeline.fan._taps
    tab.run(act)
    for _ in range(1500):
        now = session.rig["cam"]._pipeline.fan._taps
        if len(now) == number and set(now) != set(before):
            return next(tap for tap in now if tap not in before)
        threading.Event().wait(0.02)
    raise AssertionError(f"it does not look; {tab.errors()}")


def near(*wanted):
    """Where a mouse went; it has whole points, the page not."""
    return lambda found: found == [pytest.approx(each, abs=1) for each in wanted]


def colours(name):
    return np.rint(matplotlib.colormaps[name](np.arange(256))[:, :3] * 255).astype(int)


def on_screen(tab):
    return picture(made(tab, "screen"))[..., :3].astype(int)


def expected(frame, seen, shape, low, high, *, log=False):
    """Colour numbers of the points of a screen, -1 outside of the frame; as the page promises to draw it."""
    zoom, (height, width) = seen["zoom"], shape

    def pixels(middle, points):
        first = (round(middle * zoom - points / 2) + points / 2) / zoom - points / 2 / zoom
        return np.floor(first + (np.arange(points) + 0.5) / zoom).astype(int)

    x, y = pixels(seen["x"], width), pixels(seen["y"], height)
    inside = ((y >= 0) & (y < frame.shape[0]))[:, None] & ((x >= 0) & (x < frame.shape[1]))[None, :]
    value = frame[np.clip(y, 0, frame.shape[0] - 1)][:, np.clip(x, 0, frame.shape[1] - 1)].astype(float) - low
    share = np.log1p(np.maximum(value, 0)) / np.log1p(high - low) if log else value / (high - low)
    return np.where(inside, np.floor(np.clip(share, 0, 1) * 255 + 0.5).astype(int), -1)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("name", ["gray", "viridis", "cividis"])
def test_each_point_of_the_screen_has_the_colour_of_its_pixel(tab, frame, name, log):
    low, high = 90, 5000
    seen = view(tab, fit=False, zoom=2, x=WIDTH / 2, y=HEIGHT / 2, low=low, high=high, log=log, colourMap=name)
    screen = on_screen(tab)
    number = expected(frame, seen, screen.shape[:2], low, high, log=log)
    wanted = np.where((number < 0)[..., None], BACKGROUND, colours(name)[number])
    off = np.abs(screen - wanted).max(axis=-1)
    assert (number >= 0).sum() == 4 * WIDTH * HEIGHT
    assert np.mean(off > 2) < 0.001  # rounding on the GPU moves a point by one colour at times
    assert off.max() <= 8


def test_the_browsers_own_screenshot_shows_the_same(tab):
    view(tab, fit=False, zoom=2, x=WIDTH / 2, y=HEIGHT / 2, low=90, high=5000, colourMap="viridis")
    screen = on_screen(tab)
    box = tab.run("document.getElementById('stage').getBoundingClientRect().toJSON()")
    clip = {key: box[key] for key in ("x", "y", "width", "height")}

    def same(shot):
        height, width = min(shot.shape[0], screen.shape[0]), min(shot.shape[1], screen.shape[1])
        return np.abs(shot[:height, :width, :3].astype(int) - screen[:height, :width]).mean() < 2

    for _ in range(50):  # the compositor shows it a moment later
        if same(picture(tab.picture(**clip))):
            return
    raise AssertionError("the page shows something else")


def test_fit_shows_all_of_it_and_auto_levels_leave_out_the_extremes(tab, frame):
    seen = view(tab, fit=True, auto=True)
    size = tab.run("[document.getElementById('overlay').width, document.getElementById('overlay').height]")
    assert seen["zoom"] == pytest.approx(min(size[0] / WIDTH, size[1] / HEIGHT))
    sample = tab.run("rdaq.image.frame.sample")
    assert sample["low"] == pytest.approx(np.percentile(frame, 1), abs=5)
    assert sample["high"] == pytest.approx(np.percentile(frame, 99.8), rel=0.05)
    assert frame.min() <= sample["lowest"] < sample["highest"] <= frame.max()
    assert sum(sample["bins"].values()) == -(-frame.size // max(1, (frame.size // 16384) | 1))


def test_automatic_levels_are_those_of_a_picture_that_stands(tab, frame):
    view(tab, auto=False, low=7, high=9)
    tab.run("document.getElementById('auto').click()")
    tab.until("rdaq.image.frame.view.low", lambda low: low == tab.run("rdaq.image.frame.sample.low"))
    tab.until("document.getElementById('low').value", lambda low: low == str(tab.run("rdaq.image.frame.sample.low")))


FORGETFUL = """(async () => {
  const { ImageGL } = await import('./image_gl.js');
  const canvas = new OffscreenCanvas(8, 8);
  const pixels = Uint16Array.from({length: 64}, (_, index) => 1000 * index);
  let restored;
  const again = new Promise((resolve) => (restored = resolve));
  const image = new ImageGL(canvas, restored);
  const shown = () => {
    image.draw({x: 4, y: 4, zoom: 1, low: 0, high: 63000, log: false, saturated: 65535, colourMap: 'gray'});
    const found = new Uint8Array(8 * 8 * 4);
    image.gl.readPixels(0, 0, 8, 8, image.gl.RGBA, image.gl.UNSIGNED_BYTE, found);
    return [...found].filter((_, index) => index % 4 === 0);
  };
  image.upload(pixels, 8, 8);
  const before = shown();
  const loser = image.gl.getExtension('WEBGL_lose_context');
  const lost = new Promise((resolve) => canvas.addEventListener('webglcontextlost', resolve));
  loser.loseContext();
  await lost;
  shown(); // draws nothing, and fails not
  await new Promise((resolve) => setTimeout(resolve));
  loser.restoreContext();
  await again;
  image.upload(pixels, 8, 8);
  return [before, shown()];
})()"""


def test_a_gpu_that_forgot_everything_gets_the_frame_again(tab):
    before, after = tab.run(FORGETFUL)
    assert len(set(before)) == 64
    assert after == before


def test_the_file_that_is_saved_is_on_the_disk(tab, frame, tmp_path):
    tab.ask("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    tab.run("document.getElementById('save-npy').click()")
    tab.until("document.getElementById('log').textContent", lambda text: "saved as npy" in text)
    number = tab.run("rdaq.image.frame.header.sequence")
    path = tmp_path / f"cam-{number:06}.npy"
    tab.until("1", lambda _: path.exists())  # the browser renames it when all of it is there
    np.testing.assert_array_equal(np.load(path), frame)


def test_full_pixels_are_red_and_counted(tab, frame):
    level = int(np.percentile(frame, 99))
    seen = view(tab, fit=False, zoom=1, x=WIDTH / 2, y=HEIGHT / 2, saturated=level)
    screen = on_screen(tab)
    red = (screen == (255, 38, 26)).all(axis=-1)
    number = expected((frame >= level) * 255, seen, screen.shape[:2], 0, 255)
    np.testing.assert_array_equal(red, number == 255)
    count = int((frame >= level).sum())
    tab.until("Number(document.getElementById('full').textContent)", lambda said: said == count)


def test_zoomed_out_a_point_is_the_mean_of_its_pixels_and_hides_no_full_one(tab, frame):
    view(tab, fit=False, zoom=0.5, x=WIDTH / 2, y=HEIGHT / 2, low=0, high=8000)
    screen = on_screen(tab)
    height, width = screen.shape[:2]
    top, left = (height - HEIGHT // 2) // 2, (width - WIDTH // 2) // 2
    inner = screen[top + 5 : top + HEIGHT // 2 - 5, left + 5 : left + WIDTH // 2 - 5, 0]
    blocks = frame.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean(axis=(1, 3)) / 8000 * 255
    wanted = blocks[5:-5, 5:-5]
    assert np.abs(inner - wanted[: inner.shape[0], : inner.shape[1]]).mean() < 6
    brightest = int(frame.max())
    view(tab, saturated=brightest)
    assert (on_screen(tab) == (255, 38, 26)).all(axis=-1).sum() >= 1


def test_region_line_and_crosshair_are_measured_on_all_pixels(tab, frame, session):
    view(tab, fit=False, zoom=1, x=WIDTH / 2, y=HEIGHT / 2)
    roi = {"x": 150, "y": 110, "width": 30, "height": 20}
    tab.run(
        f"(rdaq.image.frame = null, rdaq.image.setMarks({{roi: {roi}, line: {{x0: 100, y0: 120, x1: 220, y1: 120}}}}))"
    )
    found = tab.until("rdaq.image.frame?.roi && JSON.parse(JSON.stringify(rdaq.image.frame.roi))")
    cut = frame[110:130, 150:180].astype(float)
    y, x = np.mgrid[110:130, 150:180] + 0.5
    assert (found["count"], found["least"], found["greatest"]) == (600, cut.min(), cut.max())
    assert found["mean"] == pytest.approx(cut.mean())
    assert found["deviation"] == pytest.approx(cut.std(), rel=1e-6)
    assert found["x"] == pytest.approx((x * cut).sum() / cut.sum())
    assert found["y"] == pytest.approx((y * cut).sum() / cut.sum())
    size = "region: 30 × 20 px = 103.5 × 69 um, 600 pixels"
    tab.until("document.getElementById('roi-said').textContent", lambda said: said.startswith(size))
    np.testing.assert_array_equal(tab.run("[...rdaq.image.frame.line]"), frame[120, 100:221])
    tab.run("rdaq.image.point({x: 10.2, y: 20.6})")
    tab.until("document.getElementById('pointed').textContent", lambda text: f"{frame[20, 10]} counts" in text)
    assert "(10.2, 20.6) px = (35.19, 71.07) um" in tab.text("pointed")
    # Whoever calibrates anew, the page tells places as they are then.
    session.rig.calibration.set("pixel_size", 10.0, why="another objective")
    tab.until("rdaq.image.pixel.size", lambda size: size == 10.0)
    tab.run("rdaq.image.point({x: 10.2, y: 20.6})")
    tab.until("document.getElementById('pointed').textContent", lambda text: "(102.00, 206.00) um" in text)
    session.rig.calibration.set("pixel_size", 3.45, why="the one of before")
    tab.run("rdaq.image.setMarks({roi: null, line: null})")


def test_mouse_and_keys_pan_zoom_and_draw(tab):
    view(tab, fit=False, zoom=1, x=WIDTH / 2, y=HEIGHT / 2)
    box = tab.run("document.getElementById('overlay').getBoundingClientRect().toJSON()")
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.drag(middle, (middle[0] + 40, middle[1] - 20))
    tab.until("[rdaq.image.frame.view.x, rdaq.image.frame.view.y]", near(WIDTH / 2 - 40, HEIGHT / 2 + 20))
    tab.mouse("mouseWheel", *middle, deltaX=0, deltaY=-300)
    zoom = tab.until("rdaq.image.frame.view.zoom", lambda zoom: zoom > 1)
    tab.key("-")
    tab.until("rdaq.image.frame.view.zoom", lambda now: now == pytest.approx(zoom / 1.25))
    tab.key("1")
    tab.until("rdaq.image.frame.view.zoom", lambda now: now == 1)
    tab.run("document.querySelector('input[name=tool][value=roi]').click()")
    tab.drag(middle, (middle[0] + 30, middle[1] + 20))
    roi = tab.until("rdaq.image.overlay.roi")
    assert (roi["width"], roi["height"]) == (pytest.approx(30, abs=1), pytest.approx(20, abs=1))
    tab.key("Delete")
    tab.until("rdaq.image.overlay.roi === null")
    tab.key("f")
    tab.until("rdaq.image.frame.view.fit")
    tab.run("document.querySelector('input[name=tool][value=pan]').click()")


def test_a_frame_is_saved_without_loss(tab, frame):
    np.testing.assert_array_equal(np.load(io.BytesIO(made(tab, "npy"))), frame)
    saved = picture(made(tab, "png"))
    np.testing.assert_array_equal(saved, frame)


def test_whoever_changes_their_mind_at_once_sees_what_was_chosen_last(first_tab, session):
    again(
        first_tab,
        session,
        "for (const scale of ['2', '4', '1']) $scale(scale)".replace(
            "$scale(scale)", "(document.getElementById('scale').value = scale, rdaq.image.choose())"
        ),
    )
    shown = flown(session, FRAMES, first_tab)
    # The one seen first may have been of a choice before the last.
    assert any(tap.counts.taken for tap in session.rig["cam"]._pipeline.fan._taps)
    np.testing.assert_array_equal(np.load(io.BytesIO(made(first_tab, "npy"))), shown[0])


def test_what_is_skipped_is_counted_and_the_file_has_all(first_tab, session):
    again(first_tab, session)  # counts from now on
    fly(session, 200, livetime=0.001, deadtime=0.004)
    counts = settled(first_tab, session)["counts"]
    # When the last one was sent, another may have waited.
    assert counts["offered"] - counts["drawn"] - counts["replaced"] - counts["skipped"] in (0, 1)
    lost = call_in_bluesky_event_loop(session.rig["cam"].frames_lost.get_value(), 5)  # none, on a machine with time
    first_tab.until("document.getElementById('lost').textContent", lambda text: text == str(lost))
    assert len(kept(session)) == 200
    assert int(first_tab.text("skipped")) == counts["skipped"] + counts["replaced"]
    first_tab.until("document.getElementById('age').className", lambda name: name == "bad")  # it is old, and says so


def test_a_hidden_page_takes_no_frames(browser, first_tab, session):
    other = browser.open("about:blank")  # in front of it
    first_tab.until("document.hidden")
    tap = again(first_tab, session)
    fly(session, 30)
    assert tap.counts.taken == 0
    other.leave()
    first_tab.ask("Page.bringToFront")
    first_tab.until("!document.hidden")
    fly(session, 31)
    settled(first_tab, session)
    assert tap.counts.taken > 0


def test_viewers_of_different_size_share_a_camera(browser, server, session, first_tab):
    with looked_at(browser, server.page, beside=True) as other:
        tapped(other, session, 2)
        again(other, session, "(document.getElementById('scale').value = '4', rdaq.image.choose())", 2)
        shown = flown(session, 60, first_tab, other)
        for page, frame, scale in zip((first_tab, other), shown, (1, 4), strict=True):
            np.testing.assert_array_equal(np.load(io.BytesIO(made(page, "npy"))), frame[::scale, ::scale])
        assert other.text("frame-size") == "80 × 60 (1/4)"


def test_frames_come_again_after_a_broken_connection(browser, server, session, first_tab):
    with CutProxy(server.page.split("/")[2]) as proxy, opened(browser, f"http://{proxy.address}/", beside=True) as tab:
        tapped(tab, session, 2)
        shown = flown(session, FRAMES, tab)
        np.testing.assert_array_equal(np.load(io.BytesIO(made(tab, "npy"))), shown[0])
        proxy.cut()
        tapped(tab, session, 1)
        tab.until("document.getElementById('log').textContent", lambda text: "no frames: the connection broke" in text)
        proxy.mend()
        tapped(tab, session, 2)
        tab.until(
            "document.getElementById('log').textContent", lambda text: "frames of meanwhile were not seen" in text
        )
        again(tab, session, number=2)  # counts from now on
        shown = flown(session, FRAMES, tab)
        np.testing.assert_array_equal(np.load(io.BytesIO(made(tab, "npy"))), shown[0])


def test_what_cannot_be_shown_is_said(first_tab, session):
    first_tab.run("rdaq.image.send({do: 'camera', camera: 'nobody', scale: 1})")
    first_tab.until("document.getElementById('log').textContent", lambda text: "unknown device 'nobody'" in text)
    first_tab.run("rdaq.image.choose()")
