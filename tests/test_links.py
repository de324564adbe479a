"""Links of the repository's pages lead to files, and the check of the built site finds faults."""

import importlib.util
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "CHANGELOG.md"]
PAGES += sorted(f"figures/{path.name}" for path in (ROOT / "figures").glob("*.md"))


def script(name):
    path = ROOT / "docs" / f"{name}.py"
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def lost(text, folder):
    """Links and pictures of a Markdown page without a file."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    own = [target.partition("#")[0] for target in targets if "://" not in target]
    return [each for each in own if each and not (folder / unquote(each)).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_links_of_the_repository_lead_to_files(page):
    path = ROOT / page
    assert lost(path.read_text(encoding="utf-8"), path.parent) == []


def test_a_lost_link_and_a_picture_without_words_are_found():
    text = "[a](README.md) ![b](nothing.png) [c](https://x.org/no) [d](#here)"
    assert lost(text, ROOT) == ["nothing.png"]


@pytest.mark.parametrize("page", PAGES)
def test_pictures_of_the_repository_have_words(page):
    assert "![](" not in (ROOT / page).read_text(encoding="utf-8")


def test_the_faults_of_a_site_are_told(tmp_path, capsys):
    module = script("check_site")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.html").write_text(
        '<a href="folder/b.html#here">1</a><a href="folder/b.html#there">2</a>'
        '<a href="folder/c.html">3</a><a href="https://x.org/no">4</a><a href="#mine">5</a>'
        '<p id="mine"></p><a href="../outside.html">6</a><img src="p.png">'
    )
    (tmp_path / "folder" / "b.html").write_text('<p id="here"></p><a href="../a.html">1</a>')
    (tmp_path / "p.png").write_bytes(b"")
    assert module.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "a.html: folder/b.html#there leads to no element",
        "a.html: folder/c.html leads to no file",
        "a.html: ../outside.html leads to no file",
        "a.html: the picture p.png has no alternative text",
        "4 faults",
    ]
    for path in tmp_path.rglob("*.html"):
        path.write_text("<p>")
    assert module.main([str(tmp_path)]) == 0
    assert module.main([]) == 2


def test_a_folder_without_pages_is_a_fault(tmp_path):
    assert list(script("check_site").faults(tmp_path)) == [f"{tmp_path} holds no page"]


def test_a_package_that_the_site_lacks_is_told_with_its_extra():
    sentence = script("required").sentence
    assert sentence({"json": "docs", "re": "torch"}) == ""
    assert sentence({"json": "docs", "no_such_1": "docs", "no_such_2": "torch"}) == (
        "no_such_1, no_such_2 can't be imported; expected pip install -e '.[docs,torch]'"
    )
