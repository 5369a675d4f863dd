"""WCAG 2.1 AA by axe-core in headless Chromium, at desktop and phone width, light and dark; skipped without these."""

import shutil

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install -e '.[browser]'")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("page", ["quickstart.html", "index.html"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_can_be_used_by_everyone_and_fits_the_window(project, browser, page, size, scheme):
    tab = browser.new_page(viewport=SIZES[size], color_scheme=scheme)
    tab.goto((project.root / "report" / page).as_uri())
    found = axe.Axe().run(tab, options=RULES).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.close()
