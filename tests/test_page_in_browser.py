"""The page of a diagnosis in a real browser: desktop and phone, light and dark, and paper."""

import re

import chromium
import diagnosis_cases
import pytest

from aniso.diagnostics import page

pytestmark = pytest.mark.skipif(chromium.path() is None, reason="no Chromium is installed")

DESKTOP, PHONE = 1280, 390
SCROLLS = "document.scrollingElement.scrollWidth > innerWidth"
# elements that hold a text and reach out of the window
OUTSIDE = """[...document.querySelectorAll('body *')].filter(e => !e.closest('svg, thead') &&
    e.textContent.trim() && e.getBoundingClientRect().right > innerWidth + 1).length"""
COLOURS = """['html', 'h1', 'figcaption', 'dt', '.formula'].map(name => {
    const style = getComputedStyle(document.querySelector(name));
    return name == 'html' ? style.backgroundColor : style.color;
})"""
FIGURE_LETTERS = """[...document.querySelectorAll('figure svg')].map(svg =>
    9 * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("pages")
    for name in ("realistic", "hostile", "bare"):
        page.write_page(getattr(diagnosis_cases, name)(), made / f"{name}.html")
    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium.browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


def fits(browser, width):
    """Whether all texts lie in the window; a phone would zoom out of a wider page."""
    found = [browser.value(question) for question in ("innerWidth", SCROLLS, OUTSIDE)]
    return found == [width, False, 0]


@pytest.mark.parametrize(
    ("width", "dark"),
    [(DESKTOP, False), (DESKTOP, True), (PHONE, False), (PHONE, True), (320, False), (720, False)],
)
@pytest.mark.parametrize("name", ["realistic", "hostile", "bare"])
def test_nothing_scrolls_sideways_complains_or_is_fetched(browser, folder, name, width, dark):
    file = folder / f"{name}.html"
    browser.open(file, width, dark=dark)
    assert fits(browser, width)
    assert browser.complaints() == []
    assert browser.requests() == {file.as_uri(): False}
    assert browser.value("document.scripts.length + document.images.length") == 0
    smallest = 10 if width >= PHONE else 8  # CSS pixels
    assert all(size >= smallest for size in browser.value(FIGURE_LETTERS))


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_what_a_bad_page_does_is_noticed(browser, tmp_path, width):
    file = tmp_path / "bad.html"
    file.write_text(
        "<!doctype html><meta name=viewport content='width=device-width'><p style='width:1500px'>"
        "wide</p><script>console.error('x')</script><img src='x.png'>",
        encoding="utf-8",
    )
    browser.open(file, width)
    assert not fits(browser, width)
    assert browser.complaints() != []
    assert list(browser.requests().values()) == [False, False]


def test_a_script_that_got_in_would_not_run(browser, folder, tmp_path):
    file = tmp_path / "attacked.html"
    text = (folder / "bare.html").read_text(encoding="utf-8")
    attack = "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"
    file.write_text(text.replace("<main>", f"<main>{attack}"), encoding="utf-8")
    browser.open(file, DESKTOP)
    assert browser.value("window.ran === undefined") is True
    assert browser.requests() == {file.as_uri(): False, (tmp_path / "x").as_uri(): True}


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("name", ["realistic", "hostile"])
def test_what_a_notebook_shows_fits(browser, tmp_path, name, width):
    file = tmp_path / "output.html"
    head = "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    shown = getattr(diagnosis_cases, name)()._repr_html_()
    file.write_text(f"{head}<body><p></p>{shown}", encoding="utf-8")
    browser.open(file, width)
    assert fits(browser, width)
    assert browser.complaints() == []


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrasts(browser):
    paper, *inks = map(luminance, browser.value(COLOURS))
    return [(max(paper, ink) + 0.05) / (min(paper, ink) + 0.05) for ink in inks]


def test_letters_stand_out_in_light_and_dark(browser, folder):
    papers = {}
    for dark in (False, True):
        browser.open(folder / "realistic.html", DESKTOP, dark=dark)
        papers[dark] = luminance(browser.value(COLOURS)[0])
        assert all(contrast >= 4.5 for contrast in contrasts(browser))
        drawn = browser.value("getComputedStyle(document.querySelector('svg g[style*=fill]')).fill")
        heading = browser.value("getComputedStyle(document.body).color")
        assert drawn == heading  # letters of figures follow the page
    assert papers[True] < 0.05 < 0.9 < papers[False]


def test_tables_become_cards_on_a_phone(browser, folder):
    shown = "getComputedStyle(document.querySelector('.readings td')).display"
    for width, display in ((DESKTOP, "table-cell"), (PHONE, "block")):
        browser.open(folder / "realistic.html", width)
        assert browser.value(shown) == display
    label = "getComputedStyle(document.querySelector('.blocks td'), '::before').content"
    assert browser.value(label) == '"Tr H"'


def test_it_prints_on_a_few_pages_in_light_colours(browser, folder):
    browser.open(folder / "realistic.html", DESKTOP, dark=True)
    paper = browser.paper()
    assert paper.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) <= 4
    browser.open(folder / "realistic.html", DESKTOP, dark=True, medium="print")
    assert luminance(browser.value("getComputedStyle(document.body).color")) < 0.05


def test_the_picture_is_not_empty(browser, folder, tmp_path):
    browser.open(folder / "realistic.html", PHONE)
    browser.picture(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 20_000
