"""A real Chromium without a window, driven over its DevTools pipe: no port, no further library."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.debian import program

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows"),
    *("--disable-renderer-backgrounding", "--disable-features=CalculateNativeWinOcclusion,IntensiveWakeUpThrottling"),
    *("--disable-default-apps", "--no-default-browser-check", "--mute-audio", "--hide-scrollbars", "--lang=en-US"),
)
ANSWER_S = 30.0


class Chromium:
    """A browser of one's own: `with Chromium() as browser`, and `browser.tab()`."""

    def __init__(self) -> None:
        self._profile = Path(tempfile.mkdtemp(prefix="chromium-"))
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # They have to be its descriptors 3 and 4, which may be any of these now: first out of the way, then there.
        high = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (theirs_in, theirs_out)]

        def place() -> None:
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        found = program("chromium")
        arguments = [f"--user-data-dir={self._profile}", "--remote-debugging-pipe", "about:blank"]
        self._process = subprocess.Popen(
            [found, *FLAGS, *arguments], preexec_fn=place,  # noqa: PLW1509
             pass_fds=(3, 4), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for end in (theirs_in, theirs_out, *high):
            os.close(end)
        self._buffer, self._last, self._target = b"", 0, ""
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **given: Any) -> dict[str, Any]:
        """Call a method of the protocol; return its result, or fail with the browser's words."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": given}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        ends = time.monotonic() + ANSWER_S
        while True:
            told = self._read(ends - time.monotonic())
            assert told is not None, f"{method} was not answered within {ANSWER_S} s"
            if told.get("id") == self._last:
                assert "error" not in told, f"{method}: {told['error']}"
                result: dict[str, Any] = told["result"]
                return result
            self.events.append(told)

    def listen(self, seconds: float) -> None:
        """Take in what the browser tells for so long at most, or until it told something."""
        told = self._read(seconds)
        if told is not None:
            self.events.append(told)

    def _read(self, seconds: float) -> dict[str, Any] | None:
        ends = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, ends - time.monotonic()))
            if not ready:
                return None
            chunk = os.read(self._in, 1 << 20)
            assert chunk, f"the browser is gone (exit {self._process.poll()})"
            self._buffer += chunk
        raw, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(raw)
        return found

    def tab(
        self, url: str = "", *, width: int = 1280, height: int = 900, dark: bool = False, still: bool = False
    ) -> Tab:
        """Open a page of this size instead of the one before, light or dark; `still` where less motion is wanted."""
        if self._target:
            self.call("Target.closeTarget", targetId=self._target)
        target = self.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        self._target = target
        tab = Tab(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        wishes = [("prefers-color-scheme", "dark" if dark else "light")]
        wishes += [("prefers-reduced-motion", "reduce" if still else "no-preference")]
        tab.call("Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in wishes])
        if url:
            tab.go(url)
        return tab

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._out)
        os.close(self._in)
        shutil.rmtree(self._profile, ignore_errors=True)


class Tab:
    """One page; what it asked for and complained about is kept."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser, self._session = browser, session

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **given)

    def go(self, url: str) -> None:
        """Load an address and wait until it is there."""
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def eval(self, script: str) -> Any:
        """Return the value of an expression in the page, as JSON would carry it."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, f"{script}: {told['exceptionDetails']}"
        return told["result"].get("value")

    def wait_for(self, script: str, limit_s: float = 30.0) -> Any:
        """Return the expression's value once it is true; fail with the page's text."""
        return self.wait_until(script, lambda: self.eval(script), limit_s)

    def wait_until(self, what: str, look: Callable[[], Any], limit_s: float = 30.0) -> Any:
        """Return what `look` returns once it is true."""
        ends = time.monotonic() + limit_s
        while not (seen := look()):
            assert time.monotonic() < ends, f"{what}: not within {limit_s} s in:\n{self.text}"
            self._browser.listen(0.1)
        return seen

    def press(self, key: str) -> None:
        """Press and release a key."""
        codes = {"Tab": 9, "Enter": 13}
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key])
        if key == "Enter":
            self.call("Input.dispatchKeyEvent", type="char", text="\r", key=key)

    @property
    def text(self) -> str:
        return str(self.eval("document.body.innerText"))

    @property
    def asked(self) -> list[str]:
        """Addresses of everything this page asked for, in order."""
        return [told["request"]["url"] for told in self._told("Network.requestWillBeSent")]

    @property
    def complaints(self) -> list[str]:
        """What went wrong in the page: exceptions, what the policy forbade, console errors."""
        thrown = [str(told["exceptionDetails"]) for told in self._told("Runtime.exceptionThrown")]
        logged = [told["entry"]["text"] for told in self._told("Log.entryAdded") if told["entry"]["level"] == "error"]
        called = [str(told["args"]) for told in self._told("Runtime.consoleAPICalled")]
        opened = [told["message"] for told in self._told("Page.javascriptDialogOpening")]
        return [*thrown, *logged, *called, *opened]

    def _told(self, method: str) -> list[dict[str, Any]]:
        self._browser.listen(0.0)
        return [
            event["params"]
            for event in self._browser.events
            if event.get("method") == method and event.get("sessionId") == self._session
        ]

    def picture(self, path: Path, *, height_max: int = 4_000) -> None:
        """Write the whole page as a PNG, so many pixels of it at most."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], height_max), "scale": 1}
        told = self.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(told["data"]))
