"""The page of a diagnosis: complete, escaped, without addresses, written whole."""

import html.parser

import diagnosis_cases
import pytest

from aniso import checks
from aniso.diagnostics import Diagnosis, Reading, page

VOID = {"meta", "br", "img", "link"}
# "use" shows a mark of the same drawing, and takes nothing but "#name"
ELEMENTS = """
    html head meta title style body header main section footer h1 h2 h3 p small sub sup span div
    table thead tbody tr th td dl dt dd figure figcaption svg g defs path use clippath rect
"""
ADDRESSES = {"href", "xlink:href", "src", "srcset", "action", "data", "poster"}


class Page(html.parser.HTMLParser):
    """Elements, attributes and texts of a page, and what is wrong with them."""

    def __init__(self, text):
        super().__init__()
        self.open, self.faults, self.texts, self.tags = [], [], [], []
        self.glued = False  # a raised or lowered text belongs to the one before
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.glued = tag in ("sub", "sup")
        if tag not in ELEMENTS.split():
            self.faults.append(f"<{tag}> is no part of the page")
        for name, value in attributes:
            if name.startswith("on"):
                self.faults.append(f"<{tag} {name}> runs a script")
            if name in ADDRESSES and not value.startswith("#"):
                self.faults.append(f"<{tag} {name}> leads to {value}")
            if name == "style" and "url(" in value and "url(#" not in value:
                self.faults.append(f"<{tag} style> leads to {value}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.remove(tag)

    def handle_endtag(self, tag):
        self.glued = tag in ("sub", "sup")
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, text):
        if self.glued and self.texts:
            self.texts[-1] += text
        else:
            self.texts.append(text)

    def words(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def texts():
    cases = ("realistic", "hostile", "bare")
    return {name: page.as_page(getattr(diagnosis_cases, name)()) for name in cases}


def test_pages_are_well_formed_and_lead_nowhere(texts):
    for text in texts.values():
        assert Page(text).faults == []
        assert text.startswith("<!doctype html>\n")
        assert 'name="viewport" content="width=device-width, initial-scale=1"' in text
        assert "default-src 'none'; style-src 'unsafe-inline'" in text
        assert "@import" not in text
        assert "url(" not in text.replace("url(#", "")


def test_every_text_of_the_user_is_a_text_of_the_page(texts):
    words, attack = Page(texts["hostile"]).words(), diagnosis_cases.ATTACK
    # name, formula, sentence, source, assumption, block, column, refusal and its reason, the kind
    # twice or more, the processor, a setting and its name, the momentum in quotes
    assert words.count(attack) >= 14
    assert diagnosis_cases.ATTACK not in texts["hostile"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in texts["hostile"]
    assert 'data-label="&lt;script&gt;' in texts["hostile"]
    assert "7*7" in texts["hostile"]
    assert "49" not in Page(texts["hostile"]).words().replace(attack, "")
    for name in ("w" * 200, "f" * 200, "s" * 400, "https://example.org/" + "a" * 200, "n" * 500):
        assert name in words


def test_a_page_without_escapes_is_found_out(monkeypatch):
    bare = page._environment().overlay(autoescape=False)
    monkeypatch.setattr(page, "_environment", lambda: bare)
    faults = Page(page.as_page(diagnosis_cases.hostile())).faults
    assert "<script> is no part of the page" in faults
    assert "<img onerror> runs a script" in faults
    assert "<img src> leads to x" in faults


def test_the_page_tells_everything(texts):
    diagnosis = diagnosis_cases.realistic()
    found = Page(texts["realistic"])
    words = found.words()
    for name, reading in diagnosis.items():
        assert name.replace("_", " ") in words
        assert reading.formula.replace("_", "") in words
        for told in (reading.sentence, reading.source, *reading.assumptions):
            assert " ".join(told.split()) in words
    alignment = diagnosis["alignment"]
    assert f"{alignment.value:.2f} ± {alignment.standard_error:.2f}" in words
    assert "from random subset of the examples" in words
    for name, reason in diagnosis.refused.items():
        assert f"{name.replace('_', ' ')} {reason}" in words
    for part in (diagnosis.settings, diagnosis.problem, diagnosis.environment):
        for name, value in part.items():
            shown = "no" if value is False else value
            assert f"{name.replace('_', ' ')} {shown}" in words
    assert found.tags.count("figure") == found.tags.count("svg") == 3
    assert found.tags.count("tr") == 1 + len(diagnosis) + 1 + len(diagnosis.blocks)
    # both causes of the error of the alignment, with their sizes
    sizes = diagnosis["alignment"].errors
    assert f"{sizes['probes']:.2g} from random probes" in words


def test_formulas_numbers_and_settings_are_set_in_type():
    reading = Reading("a_b", -1.5e-9, {"probes": 2e-10}, "|P_k g_B|² <&> H^{-1/2} {x_")
    blocks = {"first": {"size": 3, "share": 0.25, "share error": 0.01}, "rest": {"share": 0.75}}
    settings = {"optimizer": {"momentum": 0.9, "nesterov": False}, "quantities": ["loss", "a_b"]}
    text = page.as_page(Diagnosis({"a_b": reading}, blocks=blocks, settings=settings))
    assert "|P<sub>k</sub> g<sub>B</sub>|² &lt;&amp;&gt; H<sup>-1/2</sup> {x_<" in text
    assert "(−1.50 ± 0.20)×10<sup>−9</sup>" in text
    words = Page(text).words()
    assert Page(text).faults == []
    assert "optimizer momentum 0.9, nesterov no" in words
    assert "quantities loss, a_b" in words
    assert "Block size share first 3 0.250 ± 0.010 rest – 0.75" in words


def test_what_is_absent_leaves_no_heading(texts):
    words = Page(texts["bare"]).words()
    for heading in ("By block", "Not measured", "How it was measured"):
        assert heading not in words
    assert Page(page.as_page(Diagnosis({}, {"loss": "absent"}))).tags.count("table") == 0


def test_the_file_is_whole_and_always_the_same(tmp_path, texts):
    file = tmp_path / "page.html"
    assert diagnosis_cases.bare().to_html(file) == file
    assert file.read_text(encoding="utf-8") == texts["bare"]
    diagnosis_cases.bare().to_html(str(file))
    assert file.read_text(encoding="utf-8") == texts["bare"]
    assert list(tmp_path.iterdir()) == [file]


def test_a_page_that_breaks_off_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "page.html"
    file.write_text("before", encoding="utf-8")

    def broken(_):
        raise MemoryError

    monkeypatch.setattr(page, "as_page", broken)
    with pytest.raises(MemoryError):
        diagnosis_cases.bare().to_html(file)
    assert file.read_text(encoding="utf-8") == "before"


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(checks.InputError, match="is a folder; expected the name of a file"):
        diagnosis_cases.bare().to_html(tmp_path)
    with pytest.raises(checks.InputError, match="expected a file in an existing"):
        diagnosis_cases.bare().to_html(tmp_path / "absent" / "page.html")


@pytest.mark.parametrize("name", ["a\ud800b", "图层\n\x00", "עברית", "$x_{"])
def test_strange_letters_do_not_stop_the_page(tmp_path, name):
    reading = Reading(name, 1.0, sentence=name)
    made = Diagnosis(
        {name: reading}, {f"no {name}": name}, {name: {"share": 1.0}}, problem={"kind": name}
    )
    file = made.to_html(tmp_path / "page.html")
    assert name.replace("\ud800", "?") in file.read_text(encoding="utf-8")
