"""A real Chromium without a window, driven through its DevTools, offline."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

INSPECT = Path(__file__).with_name("inspect_page.js").read_text(encoding="utf-8")


def chromium() -> str | None:
    """The path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass(frozen=True)
class Look:
    """What a page shows at one width and colour scheme.

    requests: addresses asked for, but for the page itself; complaints: console messages and errors;
    found: what inspect_page.js finds.
    """

    requests: list[str]
    complaints: list[str]
    found: dict[str, Any]


@contextmanager
def running(profile: Path) -> Iterator[str]:
    """A browser; yields its DevTools address."""
    command = [
        chromium() or "chromium", "--headless", "--disable-gpu", "--remote-debugging-port=0",
        f"--user-data-dir={profile}", "--no-first-run", "--disable-background-networking",
        "--hide-scrollbars", "--disable-dev-shm-usage", "about:blank",
    ]  # fmt: skip
    if os.geteuid() == 0:  # its sandbox refuses to run as root
        command.insert(1, "--no-sandbox")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address, deadline = profile / "DevToolsActivePort", time.monotonic() + 60
        while not (address.is_file() and address.read_text().count("\n")):
            assert process.poll() is None, f"{command[0]} ended with status {process.returncode}"
            assert time.monotonic() < deadline, f"{command[0]} did not open its DevTools"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{address.read_text().split()[0]}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def look(
    browser: str, page: Path, width: int, dark: bool = False, prepare: str = "", shot: Path | None = None
) -> Look:
    """Load a page and inspect it.

    Args:
        prepare: JavaScript to run before the page is inspected.
        shot: file for a picture of the whole page.
    """
    return asyncio.run(_look(browser, page.resolve().as_uri(), width, dark, prepare, shot))


async def _look(browser: str, url: str, width: int, dark: bool, prepare: str, shot: Path | None) -> Look:
    async with _tab(browser) as tab:
        for domain in ("Page", "Runtime", "Log", "Network"):
            await tab.call(f"{domain}.enable")
        await tab.call(
            "Network.emulateNetworkConditions",
            offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1,
        )  # fmt: skip
        await tab.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await tab.call("Emulation.setEmulatedMedia", features=scheme)
        await tab.call("Page.navigate", url=url)
        await tab.loaded()
        if prepare:
            await tab.evaluate(prepare)
        found = await tab.evaluate(INSPECT)
        if shot is not None:
            picture = await tab.call("Page.captureScreenshot", captureBeyondViewport=True)
            shot.write_bytes(base64.b64decode(picture["data"]))
    return Look([u for u in tab.requests if u != url], tab.complaints, found)


class _Tab:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number, self._loaded = socket, 0, False
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            message = await self._receive()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])

    async def evaluate(self, script: str) -> Any:
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def loaded(self) -> None:
        while not self._loaded:
            await self._receive()

    async def _receive(self) -> dict[str, Any]:
        message = json.loads(await self._socket.receive_str(timeout=60))
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded":
                self.complaints.append(json.dumps(message["params"]))
        return dict(message)


@asynccontextmanager
async def _tab(browser: str) -> AsyncIterator[_Tab]:
    async with aiohttp.ClientSession() as session:
        async with session.put(f"{browser}/json/new?about:blank") as answer:
            target = await answer.json()
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            yield _Tab(socket)
        await session.get(f"{browser}/json/close/{target['id']}")
