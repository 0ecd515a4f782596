"""Debian's Chromium, driven as a reader uses it, and axe-core inside of it."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    NoSuchElementException,
    StaleElementReferenceException,
)
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

PEER_SECONDS = 90.0
"""The server counts what a peer did in the last minute."""
PEER_PAUSE_SECONDS = 5.0
PATIENCE_SECONDS = 60.0
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--ignore-certificate-errors",
    "--no-proxy-server",
]
AXE = Path(__file__).parent / "axe"


def axe_source(folder: Path) -> str:
    """Install axe-core as its lock file says, and return its script."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(AXE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@dataclass
class Reader:
    """A reader with a browser of their own.

    Attributes:
        driver: The browser.
        url: Where the page is.
        downloads: Where it puts files.
        asked: Hosts that it asked for anything, so far.
    """

    driver: webdriver.Chrome
    url: str
    downloads: Path
    asked: set[str] = field(default_factory=set)

    def open(self, path: str = "/") -> None:
        self.driver.get(self.url + path)

    def sign_in(self, token: str) -> None:
        """Sign in. All readers of the tests are one peer for the server: where it says so, wait as it says."""
        deadline = time.monotonic() + PEER_SECONDS
        while True:
            self.wait(lambda: self.driver.find_element(By.ID, "token")).send_keys(token)
            self.driver.find_element(By.TAG_NAME, "button").click()
            if "too often" not in self.wait(self.text):
                return
            assert time.monotonic() < deadline, "the page keeps saying that it is asked too often"
            time.sleep(PEER_PAUSE_SECONDS)

    def wait(self, found: Callable[[], Any], what: str = "") -> Any:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if value := found():
                    return value
            except (ElementClickInterceptedException, NoSuchElementException, StaleElementReferenceException):
                pass
            assert time.monotonic() < deadline, f"{what or found}: {self.text()[-600:]}"
            time.sleep(0.1)

    def sees(self, text: str) -> None:
        self.wait(lambda: text in self.text(), text)

    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text

    def button(self, label: str, number: int = 0) -> WebElement:
        def find() -> WebElement | None:
            found = [one for one in self.driver.find_elements(By.TAG_NAME, "button") if one.text.strip() == label]
            return found[number] if len(found) > number else None

        found: WebElement = self.wait(find, f"button {label}")
        return found

    def press(self, label: str, number: int = 0) -> None:
        def click() -> bool:
            button = self.button(label, number)
            self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
            button.click()
            return True

        self.wait(click)

    def choose(self, label: str, option: str) -> None:
        """Choose an option of a list by its label, with the keyboard's and the screen reader's names."""
        box = self.wait(lambda: self.driver.find_element(By.XPATH, f"//input[contains(@aria-label, '{label}')]"), label)
        box.click()
        path = f"//*[@role='option'][normalize-space()='{option}']"
        self.wait(lambda: self.driver.find_element(By.XPATH, path), option).click()

    def pick(self, option: str) -> None:
        """Choose one of a row of buttons."""
        path = f"//label[.//*[normalize-space()='{option}']]"
        self.wait(lambda: self.driver.find_element(By.XPATH, path), option).click()

    def downloaded(self, name: str) -> bytes:
        file = self.downloads / name
        self.wait(file.exists, name)
        data = file.read_bytes()
        file.unlink()
        return data

    def hosts(self) -> set[str]:
        """Return every host that this browser asked for anything."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                parameters = message["params"]
                address = urlsplit(parameters.get("url") or parameters["request"]["url"])
                # The browser's own pages have schemes of their own.
                self.asked |= {address.netloc} if address.scheme in ("http", "https", "ws", "wss") else set()
        return self.asked

    def findings(self, axe: str) -> list[str]:
        """Return what axe-core finds serious or critical, one line each."""
        self.driver.execute_script(axe)
        script = "const done = arguments[arguments.length - 1]; axe.run(document).then(done)"
        report = self.driver.execute_async_script(script)
        return [
            f"{one['id']}: {node['html'][:160]}"
            for one in report["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def resize(self, width: int, height: int = 1400) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def screenshot(self, path: Path, most: int = 3000) -> None:
        """Keep a picture of the whole page, up to `most` pixels high."""
        script = "return (document.querySelector('[data-testid=stMain]') || document.body).scrollHeight"
        width = self.driver.execute_script("return window.innerWidth")
        self.resize(width, min(self.driver.execute_script(script) + 20, most))
        time.sleep(1)
        self.driver.save_screenshot(str(path))


@contextmanager
def reader(url: str, folder: Path) -> Iterator[Reader]:
    """Open a browser with a profile of its own."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.fail("chromium or chromedriver is missing: run `make setup-sandbox`")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    downloads = folder / "downloads"
    downloads.mkdir()
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    browser.set_script_timeout(60)
    try:
        one = Reader(browser, url, downloads)
        one.resize(1200)
        yield one
    finally:
        browser.quit()
