"""The pages of the documentation: what they name exists, and their links lead somewhere."""

import ast
import functools
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
ITEMS = ("Source", "Used by", "Checked by")


def prose(text):
    """The text without indented formulas, which may hold any sign."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("    "))


def headings(text):
    return [line.lstrip("#").strip() for line in prose(text).splitlines() if line.startswith("#")]


def slug(heading):
    """The anchor that a heading gets on common hosts of Markdown."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def entries(text):
    """Pairs (heading of the third level, lines below it)."""
    parts = re.split(r"^### (.+)$", text, flags=re.MULTILINE)[1:]
    bodies = (re.split(r"^## ", body, flags=re.MULTILINE)[0] for body in parts[1::2])
    return list(zip(parts[::2], bodies, strict=True))


def item(body, name):
    """Text of the list item `name` of an entry; None if there is none."""
    found = re.search(rf"^- {name}: (.+)$", body, flags=re.MULTILINE)
    return found and found[1]


def named(text, name):
    """Everything in backticks in the list items `name` of a page."""
    items = filter(None, (item(body, name) for _, body in entries(text)))
    return sorted({word for found in items for word in re.findall(r"`([^`]+)`", found)})


def missing_name(name):
    """Why ``aniso.<name>`` is neither a module nor an attribute of one; "" if it is."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(["aniso", *parts[:end]])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            # a package that is absent from inside an existing module is another fault
            if not f"{module}.".startswith(f"{error.name}."):
                raise
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return f"{name}: {module} has no {'.'.join(parts[end:])}"
            found = getattr(found, part)
        return ""
    return f"{name}: there is no such module"


@functools.cache
def names_in_test_file(path):
    """Names of the test functions at the top of a file; none if there is no file."""
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def missing_test(name):
    file, _, function = name.partition("::")
    return "" if function in names_in_test_file(ROOT / file) else f"{name}: there is no such test"


def broken_links(path, pages):
    """Links between the pages whose file or heading does not exist."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text(encoding="utf-8"))):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        if linked.suffix in (".png", ".json") and linked.is_file():
            continue
        if not linked.is_relative_to(ROOT / "docs") and linked.is_file() and not anchor:
            continue
        if linked not in pages:
            yield f"{path.name}: {target} leads to no page"
        elif anchor and anchor not in map(slug, headings(pages[linked])):
            yield f"{path.name}: {target} leads to no heading"


@pytest.fixture(scope="module")
def texts():
    return {path: path.read_text(encoding="utf-8") for path in PAGES}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_functions_and_modules_that_a_page_names_exist(path, texts):
    assert list(filter(None, map(missing_name, named(texts[path], "Used by")))) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_tests_that_a_page_names_exist(path, texts):
    assert list(filter(None, map(missing_test, named(texts[path], "Checked by")))) == []


def test_every_entry_names_who_uses_and_who_checks_it(texts):
    theory = {path: text for path, text in texts.items() if path.parent.name == "theory"}
    for path, text in theory.items():
        expected = ITEMS if path.stem != "traps" else ITEMS[1:]
        for heading, body in entries(text):
            for name in expected:
                assert item(body, name), f"{path.name}, {heading}: no item {name!r}"
    assert sum(map(len, map(entries, theory.values()))) > 50


def test_headings_are_stable_anchors_and_links_lead_to_them(texts):
    for path, text in texts.items():
        found = headings(text)
        slugs = list(map(slug, found))
        assert len(set(slugs)) == len(slugs), path.name
        # plain letters give the same anchor everywhere
        assert [heading for heading in found if not heading.isascii()] == []
        assert list(broken_links(path, texts)) == []


def unlisted(index, pages):
    """How-to pages that the index has no link to."""
    return sorted(path.name for path in pages if f"](how-to/{path.name}" not in index)


def test_the_index_links_to_every_how_to_page(texts):
    pages = [path for path in PAGES if path.parent.name == "how-to"]
    index = texts[ROOT / "docs" / "README.md"]
    assert len(pages) >= 7
    assert unlisted(index, pages) == []
    assert unlisted(index.replace("how-to/stability", "elsewhere"), pages) == ["stability.md"]


def test_faults_are_found(tmp_path):
    assert missing_name("checks.number") == ""
    assert missing_name("estimates.Estimate.from_samples") == ""
    assert missing_name("checks.nothing") == "checks.nothing: aniso.checks has no nothing"
    assert missing_name("nothing.at_all") == "nothing.at_all: there is no such module"
    assert missing_test("tests/test_theory_page.py::test_faults_are_found") == ""
    for name in ("tests/test_theory_page.py::test_nothing", "tests/test_nothing.py::test_faults"):
        assert missing_test(name) == f"{name}: there is no such test"
    page = tmp_path / "page.md"
    page.write_text("# A title\n\n[one](#a-title) [two](#another) [three](no.md)\n")
    assert list(broken_links(page, {page: page.read_text()})) == [
        "page.md: #another leads to no heading",
        "page.md: no.md leads to no page",
    ]
    text = "### An entry\n\nText.\n\n- Used by: `a.b`, `c`\n\n## Next\n\n- Used by: `d`\n"
    assert named(text, "Used by") == ["a.b", "c"]
    assert item(text, "Source") is None
