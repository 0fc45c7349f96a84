"""A headless Chromium, spoken to over its pipe: pages are loaded, asked and printed.

The DevTools protocol runs over two inherited files, so that no port is opened and no package is
needed. One browser serves many pages.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
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


def _start(program: str, profile: str) -> tuple[int, int, int]:
    """Start a browser, and return its process, where to write to it and where to read from it."""
    pipes = (*os.pipe(), *os.pipe())
    # It reads from its file 3 and writes to its file 4, so ours must have other numbers.
    theirs_in, ours_in, ours_out, theirs_out = (
        fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 10) for file in pipes
    )
    nothing = [(os.POSIX_SPAWN_OPEN, file, os.devnull, os.O_RDWR, 0) for file in (0, 1, 2)]
    process = os.posix_spawn(
        program,
        [program, *FLAGS, f"--user-data-dir={profile}"],
        os.environ,
        file_actions=[
            *nothing,
            (os.POSIX_SPAWN_DUP2, theirs_in, 3),
            (os.POSIX_SPAWN_DUP2, theirs_out, 4),
        ],
    )
    for file in (*pipes, theirs_in, theirs_out):
        os.close(file)
    return process, ours_in, ours_out


def _end(process: int) -> None:
    """Wait until a browser has ended, and end it if it does not."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if os.waitpid(process, os.WNOHANG)[0]:
            return
        time.sleep(0.02)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


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
        self._process, self._in, self._out = _start(found, self._folder.name)
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
        _end(self._process)
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
                details = event["exceptionDetails"]
                said = details.get("exception", {}).get("description", details["text"])
                found.append(f"{said} {details.get('url', '')}")
            elif event.get("type") == "error":
                found.append(str([given.get("value") for given in event["args"]]))
            elif event.get("entry", {}).get("level") == "error":
                found.append(f"{event['entry']['text']} {event['entry'].get('url', '')}")
        return found

    def pdf(self, **options: Any) -> bytes:
        """Return the page as PDF; the options are those of ``Page.printToPDF``."""
        return base64.b64decode(self.call("Page.printToPDF", **options)["data"])

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", {"targetId": self._target})
        self._browser.forget(self._session)
