"""A headless Chromium, spoken to over its pipe: pages are loaded, asked and printed.

The DevTools protocol runs over two inherited files, so that no port is opened and no package is
needed. One browser serves many pages.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from asgml_core.checks import AsgmlError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
#: Nothing but the page: no first-run dialogue, no updates, no traffic of the browser's own.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
#: Seconds that one answer may take; printing a book is the longest.
PATIENCE = 300.0


class BrowserError(AsgmlError, RuntimeError):
    """No browser, or one that does not answer; the message says which."""


def find_browser() -> str | None:
    """Return the path of a Chromium or Chrome, ``$ASGML_BROWSER`` first; ``None`` without one."""
    named = os.environ.get("ASGML_BROWSER")
    for name in (named,) if named else NAMES:
        found = shutil.which(name)
        if found:
            return found
    return None


class Browser:
    """A headless browser, as a context.

    Raises:
        BrowserError: when there is none, or it does not start.
    """

    def __init__(self) -> None:
        found = find_browser()
        if found is None:
            raise BrowserError(
                "no Chromium or Chrome was found; install one, or name it in ASGML_BROWSER."
            )
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._in = os.pipe()
        self._out, theirs_out = os.pipe()
        # The browser reads from file 3 and writes to file 4.
        shell = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["sh", "-c", shell, found, *FLAGS, f"--user-data-dir={self._folder.name}"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer = b""
        self._last = 0
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._in)  # the browser ends with its pipe
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._out)
        self._folder.cleanup()

    def open(self, url: str) -> Page:
        """Return a page that has loaded, with its pictures and scripts."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        page = Page(self, target, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.go(url)
        return page

    def call(
        self, method: str, given: Mapping[str, Any] | None = None, session: str | None = None
    ) -> dict[str, Any]:
        """Return the answer to one call of the protocol; what happens meanwhile is kept.

        Raises:
            BrowserError: when the browser refuses, ends, or does not answer.
        """
        self._last += 1
        message = {"id": self._last, "method": method, "params": dict(given or {})}
        if session is not None:
            message["sessionId"] = session
        try:
            os.write(self._in, json.dumps(message).encode() + b"\0")
        except BrokenPipeError as error:
            raise BrowserError("the browser has ended.") from error
        while True:
            said = self._next(method)
            if said.get("id") == self._last:
                break
            self._events.append(said)
        if "error" in said:
            raise BrowserError(f"{method}: {said['error']['message']}.")
        return said["result"]

    def wait(self, method: str, session: str) -> None:
        """Wait until an event has come."""
        while not self.events(session, method):
            self._events.append(self._next(method))

    def events(self, session: str, *methods: str) -> list[dict[str, Any]]:
        """Return what happened on a page, oldest first."""
        return [
            event["params"]
            for event in self._events
            if event.get("sessionId") == session and event.get("method") in methods
        ]

    def forget(self, session: str) -> None:
        """Drop the events of a page."""
        self._events = [event for event in self._events if event.get("sessionId") != session]

    def _next(self, waiting: str) -> dict[str, Any]:
        """Return the next message of the browser."""
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._out], [], [], left)[0]:
                raise BrowserError(f"the browser gave no answer to {waiting} in {PATIENCE:.0f} s.")
            read = os.read(self._out, 1 << 20)
            if not read:
                raise BrowserError(f"the browser ended at {waiting}.")
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


class Page:
    """A tab of a :class:`Browser`."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """Return the answer to one call of the protocol."""
        return self._browser.call(method, given, self._session)

    def go(self, url: str) -> None:
        """Load another address, and wait until it is there.

        Raises:
            BrowserError: when it cannot be loaded.
        """
        self._browser.forget(self._session)
        said = self.call("Page.navigate", url=url)
        if said.get("errorText"):
            raise BrowserError(f"{url}: {said['errorText']}.")
        self._browser.wait("Page.loadEventFired", self._session)

    def ask(self, expression: str) -> Any:
        """Return what a JavaScript expression gives; a promise is waited for.

        Raises:
            BrowserError: when it throws.
        """
        said = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in said:
            details = said["exceptionDetails"]
            text = details.get("exception", {}).get("description", details["text"])
            raise BrowserError(f"the page's script failed: {text}")
        return said["result"].get("value")

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window in pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def complaints(self) -> list[str]:
        """Return what the page complained of since it was loaded: errors of scripts and files."""
        found = []
        for event in self._browser.events(
            self._session, "Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"
        ):
            if "exceptionDetails" in event:
                found.append(str(event["exceptionDetails"].get("text")))
            elif event.get("type") == "error":
                found.append(str([given.get("value") for given in event["args"]]))
            elif event.get("entry", {}).get("level") == "error":
                found.append(f"{event['entry']['text']} {event['entry'].get('url', '')}")
        return found

    def picture(self, to: Path, height: int | None = None) -> Path:
        """Write what the window shows, or the page down to a height, as PNG."""
        options: dict[str, Any] = {"format": "png"}
        if height is not None:
            width = self.ask("window.innerWidth")
            options["captureBeyondViewport"] = True
            options["clip"] = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        to.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **options)["data"]))
        return to

    def pdf(self, **options: Any) -> bytes:
        """Return the page as PDF; the options are those of ``Page.printToPDF``."""
        return base64.b64decode(self.call("Page.printToPDF", **options)["data"])

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", {"targetId": self._target})
        self._browser.forget(self._session)
