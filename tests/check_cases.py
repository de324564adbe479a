"""Texts of checks: which symbols they use, and whether their sources are headings."""

import re
from pathlib import Path

from aniso import propositions

THEORY = Path(__file__).parents[1] / "docs" / "theory"
# Standard notation: indices, orders, identity, differentials, names that every reader knows.
NOTATION = {"i", "j", "O", "I", "ds", "dt", "dW", "dθ", "π", "ReLU", "GELU", "FashionMNIST"}
SHORT_WORDS = re.findall(r"\w+", "of in is to by at on or as no an if so be it do")
INDEX = r"(?:_(?:ij|[ijts]|\{t\+τ\}))?"


def texts(statement):
    return (statement.name, statement.claim, statement.setting, statement.tolerance_reason)


def tokens(text):
    """Words and products of symbols in a text, without numbers and superscripts."""
    text = re.sub(r"\ba(?= [a-z]{2,})|'s\b|\w+-\d-\w+", " ", text)  # an article, a genitive
    text = re.sub(r"[²³½⁻¹ᵀ]", " ", text)
    text = re.sub(r"(?<!\w)\d[\d.,]*(?:e[+-]?\d+)?", " ", text)
    return re.findall(r"[^\W\d_]+(?:_\w+|_\{[^}]*\})?\*?", text)


def is_word(token):
    capitals = sum(letter.isupper() for letter in token)
    ordinary = re.fullmatch(r"[A-Za-zô]{3,}|[a-z]+(?:_[a-z]+)+", token) is not None
    return token in SHORT_WORDS or (ordinary and capitals < 2)


def symbols(legend):
    """Symbols that a legend explains; one entry may explain several."""
    return {symbol for key in legend for symbol in key.split(", ")}


def used_symbols(token, known):
    """Known symbols whose product is the token; None if it is no such product."""
    ordered = sorted(known | NOTATION, key=len, reverse=True)
    one = "|".join(re.escape(symbol) + ("" if "_" in symbol else INDEX) for symbol in ordered)
    if re.fullmatch(f"(?:{one})+", token) is None:
        return None
    return set(re.findall("|".join(map(re.escape, ordered)), token))


def unexplained(group, checks):
    """Symbols in the texts of checks that the legend of their group doesn't explain."""
    known = symbols(propositions.legend(group))
    found = {token for check in checks for text in texts(check.statement) for token in tokens(text)}
    return sorted(t for t in found if not is_word(t) and used_symbols(t, known) is None)


def idle_symbols(group, checks):
    """Symbols that the legend of a group explains and no text of its checks uses."""
    known = symbols(propositions.legend(group))
    everything = " ".join(text for check in checks for text in texts(check.statement))
    everything += " ".join(check.finding for check in checks)
    everything += " ".join(propositions.legend(group).values())
    used = set()
    for token in tokens(everything):
        used |= used_symbols(token, known) or set()
    verbatim = {symbol for symbol in known if re.search("[0-9]", symbol) and symbol in everything}
    return sorted(known - used - verbatim)


def unknown_sources(checks):
    """Sources that are no heading of a theory page."""
    found = {check.statement.source for check in checks}
    return sorted(source for source in found if not _is_heading(source))


def _is_heading(source):
    page, _, heading = source.partition(", ")
    path = THEORY / page.removeprefix("docs/theory/")
    return page.startswith("docs/theory/") and f"### {heading}\n" in path.read_text("utf-8")
