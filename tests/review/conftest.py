import os
import shutil

import pytest


@pytest.fixture(scope="session")
def chromium():
    """A running browser; where there is none, tests that use it are skipped, but not in CI."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    is_needed = bool(os.environ.get("NOISEPROOF_NEEDS_BROWSER"))
    if program is None and not is_needed:
        pytest.skip("no chromium; `apt-get install chromium` runs the tests of pages")
    assert program, "NOISEPROOF_NEEDS_BROWSER is set, and there is no chromium"
    playwright = (
        pytest.importorskip("playwright.sync_api")
        if not is_needed
        else __import__("playwright.sync_api", fromlist=["sync_api"])
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """A function that opens an address in a browser of its own; errors of the page fail the test."""
    contexts, problems = [], []

    def start(address, *, context=None, **options):
        if context is None:
            context = chromium.new_context(**({"viewport": {"width": 1200, "height": 800}} | options))
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append(dialog.message))
        page.on("console", lambda line: problems.append(line.text) if "Security" in line.text else None)
        page.goto(address if "://" in str(address) else f"file://{address}")
        return page

    yield start
    for context in contexts:
        context.close()
    assert problems == []
