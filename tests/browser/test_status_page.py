"""The status page of a real bridge in a real browser: what it shows, how it keeps fresh, and that nothing gets in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orchbridge.ops.page.style import DARK, LIGHT
from tests.browser.chromium import Chromium, Tab
from tests.browser.stage import World, bridged

pytestmark = pytest.mark.timeout(120)

HOSTILE = (
    "</bdi></p></script><script>window.hacked=1</script><img src=https://evil.example/x onerror=window.hacked=2>"
    "\"'><svg onload=alert(3)> \u202e\u202dgnp.exe <a href=javascript:alert(4)>click</a> " + "W" * 10_000
)


@dataclass(frozen=True)
class Scene:
    """A bridge, its world, and a browser; `failed` is a job that failed, `hostile` one that still runs for long."""

    address: str
    world: World
    browser: Chromium
    nodes: list[str]

    def tab(self, **options: object) -> Tab:
        """Open the page, and wait until it tells of the failure."""
        tab = self.browser.tab(self.address, **options)  # type: ignore[arg-type]
        tab.wait_for("document.querySelector('#failures details') !== null")
        return tab


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, needs: Callable[..., None]) -> Iterator[Scene]:
    needs("chromium")
    folder = tmp_path_factory.mktemp("browser")
    source = ("prod", "empty:nodes=60,shortest=250,longest=350", "now")
    with bridged(folder, source) as (address, worlds, _), Chromium() as browser:
        world = worlds["prod"]
        nodes = [
            f"{group}{number:02d}.example.com" for number in range(1, 16) for group in ("web", "app", "db", "cache")
        ]
        world.task([f"gone{number}.example.com" for number in range(9)], "nobody is there")
        world.connect(nodes[-3:], connected=False)
        world.deploy(nodes[:50], HOSTILE)  # eight nodes at a time: it outlives every test here
        yield Scene(address, world, browser, nodes)


def test_it_tells_what_happens(scene: Scene) -> None:
    tab = scene.tab()
    tab.wait_for("document.querySelector('#flight [role=progressbar]') !== null")
    tab.wait_for("document.querySelector('#nodes').innerText.includes('3 disconnected')")
    for words in (
        "Ready",
        "prod",
        "up",
        "jobs in flight",
        "9 nodes",
        "not connected to the PCP broker",
        "57 connected",
    ):
        assert words in tab.text.replace("job in flight", "jobs in flight"), words
    told = tab.eval("document.querySelector('#flight [role=progressbar]').getAttribute('aria-valuetext')")
    assert "of 50 nodes done" in told
    widths = tab.eval("[...document.querySelectorAll('#flight rect')].map(e => e.getBoundingClientRect().width)")
    assert sum(widths) == pytest.approx(tab.eval("document.querySelector('#flight .bar').clientWidth"), abs=1)
    assert tab.complaints == []


def test_a_hostile_description_is_text_and_does_nothing(scene: Scene) -> None:
    tab = scene.tab()
    tab.wait_for("document.querySelector('#flight .description') !== null")
    assert tab.eval("document.querySelector('#flight .description bdi').textContent").startswith(HOSTILE[:100])
    assert len(tab.text) < 5_000
    assert tab.eval("[window.hacked, document.images.length, document.scripts.length]") == [None, 0, 1]
    assert tab.eval("[...document.querySelectorAll('[href]')].filter(e => e.href.startsWith('java')).length") == 0
    tab.eval("new Promise(done => setTimeout(done, 6000))")  # and not when it refreshes either
    assert tab.eval("[window.hacked, document.images.length, document.scripts.length]") == [None, 0, 1]
    assert tab.complaints == []
    here = urlsplit(scene.address).netloc
    assert {urlsplit(url).netloc for url in tab.asked} == {here}
    assert len(tab.asked) > 1


def test_it_refreshes_in_place_and_loses_nothing_a_person_did(scene: Scene) -> None:
    tab = scene.tab(height=500)
    tab.eval("window.mark = 1; document.querySelector('#failures summary').focus(); window.scrollTo(0, 300)")
    tab.press("Enter")
    assert tab.eval("document.querySelector('#failures details').open")
    was = tab.eval("document.querySelector('#failures details').id")
    place = tab.eval("window.scrollY")
    number = scene.world.task(scene.nodes[:2], "something new")
    tab.wait_for(f"document.querySelector('#flight').innerText.includes('job {number}')")
    assert tab.eval("window.mark") == 1
    assert tab.eval("document.querySelector('#failures details').open")
    assert tab.eval("document.activeElement.matches('summary') && document.activeElement.parentElement.id") == was
    assert tab.eval("window.scrollY") == pytest.approx(place, abs=200)
    assert place > 0


def test_selected_text_is_left_alone(scene: Scene) -> None:
    tab = scene.tab()
    tab.eval("getSelection().selectAllChildren(document.querySelector('#failures .message')); window.before = 0")
    fresh = "document.querySelector('#sources').isSameNode(window.part)"
    tab.eval("window.part = document.querySelector('#sources')")
    tab.wait_for(f"!{fresh}")
    assert "not connected" in tab.eval("getSelection().toString()")


def test_it_says_when_the_bridge_does_not_answer_and_when_it_does_again(scene: Scene) -> None:
    tab = scene.tab()
    assert tab.eval("getComputedStyle(document.querySelector('#stale')).display") == "none"
    line = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    tab.call("Network.emulateNetworkConditions", offline=True, **line)
    tab.wait_for("document.querySelector('#stale').offsetHeight > 0")
    assert "has not answered for" in tab.text
    assert tab.eval("document.title").startswith("No answer")
    tab.call("Network.emulateNetworkConditions", offline=False, **line)
    tab.wait_for("document.querySelector('#stale').hidden")
    assert tab.eval("document.title").startswith("Ready")


def test_without_scripts_it_still_refreshes(scene: Scene) -> None:
    tab = scene.browser.tab()
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.call("Page.navigate", url=scene.address)
    tab.wait_until("the page comes again", lambda: tab.asked.count(scene.address) > 1, 20.0)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_phone_and_follows_the_scheme(scene: Scene, dark: bool) -> None:
    tab = scene.tab(width=360, height=740, dark=dark)
    tab.wait_for("document.querySelector('#flight .description') !== null")
    tab.eval("document.querySelectorAll('details').forEach(e => e.open = true)")
    assert tab.eval("document.documentElement.scrollWidth") == 360
    beyond = "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 361)"
    assert tab.eval(f"{beyond}.map(e => e.outerHTML.slice(0, 200))") == []
    colours = (DARK if dark else LIGHT)["paper"], (DARK if dark else LIGHT)["ink"]
    style = "getComputedStyle(document.body)"
    assert tab.eval(f"[{style}.backgroundColor, {style}.color]") == [_rgb(colour) for colour in colours]


def test_the_keyboard_reaches_everything_and_shows_where_it_is(scene: Scene) -> None:
    tab = scene.tab()
    tab.press("Tab")
    assert tab.eval("document.activeElement.innerText") == "Skip to the content"
    assert tab.eval("document.activeElement.getBoundingClientRect().left") >= 0
    assert tab.eval("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    seen = set()
    for _ in range(60):
        tab.press("Tab")
        seen.add(tab.eval("document.activeElement.matches('summary') ? 'summary' : document.activeElement.textContent"))
    assert {"Metrics", "Status as JSON", "Readiness", "Health", "Runbooks", "summary"} <= seen


def test_the_pages_beside_it_tell_what_the_metrics_mean(scene: Scene) -> None:
    tab = scene.tab(width=360)
    tab.eval("document.querySelector('header nav a[href=\"docs/metrics\"]').click()")
    tab.wait_for("document.readyState === 'complete' && location.pathname === '/docs/metrics'")
    assert "pe_job_duration_seconds" in tab.text
    assert tab.eval("document.documentElement.scrollWidth") == 360
    assert tab.complaints == []


def test_it_keeps_fresh_where_name_and_password_stand_in_its_address(scene: Scene, tmp_path: Path) -> None:
    keys = 'basic_user = "ops"\nbasic_password = "0123456789abcdef"\n'
    with bridged(tmp_path, ("prod", "empty:nodes=2", "now"), http=keys, looked=False) as (address, _, _):
        tab = scene.browser.tab(address.replace("http://", "http://ops:0123456789abcdef@"))
        tab.eval("window.mark = document.querySelector('#sources')")
        tab.wait_for("!document.querySelector('#sources').isSameNode(window.mark)")
        assert tab.eval("document.querySelector('#stale').hidden")
        assert tab.eval("document.title").startswith("Ready")
        tab.eval("document.querySelector('header nav a[href=\"docs/metrics\"]').click()")
        tab.wait_for("location.pathname === '/docs/metrics' && document.querySelector('article') !== null")
        assert tab.complaints == []


def test_who_wants_less_motion_gets_none(scene: Scene) -> None:
    moves = "getComputedStyle(document.querySelector('rect')).transitionDuration"
    assert scene.tab(still=True).eval(moves) == "0s"
    assert scene.tab().eval(moves) != "0s"


def test_the_runbooks_are_pages_under_the_same_policy(scene: Scene) -> None:
    tab = scene.browser.tab(f"{scene.address}runbooks/")
    assert "Runbooks" in tab.text
    assert tab.eval("document.documentElement.scrollWidth") == tab.eval("innerWidth")
    tab.eval("document.querySelector('header nav a[href$=\"runbooks/\"]').click()")
    tab.wait_for("document.readyState === 'complete'")
    assert tab.eval("location.pathname") == "/runbooks/"
    assert tab.complaints == []


def test_a_picture_can_be_taken(scene: Scene, tmp_path: Path) -> None:
    scene.tab(width=360, dark=True).picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


def _rgb(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgb({red}, {green}, {blue})"
