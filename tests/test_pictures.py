"""Every picture of the written pages has a text in its place, and is there."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MARKDOWN = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)[^)]*\)")
DIRECTIVE = re.compile(r"^(`{3,}|:{3,})\{(?:figure|image)\}(.*?)^\1", re.MULTILINE | re.DOTALL)
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "figures").glob("*.md"),
    *(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
]


class Pictures(HTMLParser):
    """Pairs (text, source) of the tags of a page."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            own = dict(attrs)
            self.found.append((own.get("alt") or "", own.get("src", "")))


def pictures(text):
    """Pairs (text, source) of the pictures of a Markdown page, in every form that it knows."""
    text = re.sub(r"^```python.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    tags = Pictures()
    tags.feed(text)
    directives = []
    for _, body in DIRECTIVE.findall(text):
        alternative = re.search(r"^:alt: *(.*)$", body, re.MULTILINE)
        directives.append((alternative[1] if alternative else "", body.split()[0]))
    return MARKDOWN.findall(text) + tags.found + directives


def without_text(text):
    """Sources of the pictures without text, or with a text that says nothing."""
    return [source for words, source in pictures(text) if len(words.split()) < 3]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pictures_have_a_text_and_exist(page):
    text = page.read_text(encoding="utf-8")
    assert without_text(text) == []
    here = [source for _, source in pictures(text) if ":" not in source]
    assert [source for source in here if not (page.parent / source).exists()] == []


def test_pictures_are_found_in_every_form():
    text = (
        "![](a.png) ![the curve of losses](b.png)\n"
        '<img src="c.png"><img src="d.png" alt="ratio over the width">\n'
        "```{figure} e.png\n:width: 3\n```\n"
        ":::{image} f.png\n:alt: bands over three seeds\n:::\n"
    )
    assert without_text(text) == ["a.png", "c.png", "e.png"]
    assert sorted(source for _, source in pictures(text)) == [f"{x}.png" for x in "abcdef"]
    assert any(pictures(page.read_text(encoding="utf-8")) for page in PAGES)
