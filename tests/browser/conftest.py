"""A real Chromium, driven by Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import get_browser
import get_node
import pytest
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-dev-shm-usage",
)
"""Chromium without a graphics card and without talking to anybody."""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Chromium, without a window.

    Gone when the last test of this folder ends: Playwright keeps an event loop running in this thread, in which
    nothing else can start one.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=get_browser.fetch(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    folder = get_node.fetch(ROOT / "tests" / "browser" / "axe", ROOT / ".state" / "node" / "axe")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
