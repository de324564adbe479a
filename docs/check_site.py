"""``python docs/check_site.py SITE``: links, anchors and pictures of the built site, offline.

A link of a page to a page must lead to a file, and its anchor to an element. A picture must have a
file and an alternative text; a thumbnail of the gallery has its title below it. Addresses of other
hosts are not asked for.
"""

import posixpath
import re
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

_ATTRIBUTE = re.compile(r"""\s(id|name|href|src|alt)=(?:"([^"]*)"|'([^']*)')""")
_PICTURE = re.compile(r"<img\b[^>]*>")


class Page:
    """What a page links to, what may be linked to in it, and its pictures."""

    def __init__(self, text):
        found = attributes(text)
        self.links = [value for name, value in found if name in ("href", "src") and value]
        self.anchors = {value for name, value in found if name in ("id", "name")}
        pictures = (dict(attributes(tag)) for tag in _PICTURE.findall(text))
        self.pictures = [(each.get("src", ""), each.get("alt", "")) for each in pictures]


def attributes(text):
    """Return pairs of names and values of the attributes that count, in their order."""
    return [(name, unescape(one or two)) for name, one, two in _ATTRIBUTE.findall(text)]


def faults(site):
    """Yield what is wrong with a built site, a sentence each.

    Parameters
    ----------
    site : path-like
        Folder of the HTML files.
    """
    site = Path(site)
    files = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    names = sorted(each for each in files if each.endswith(".html") and "_static/" not in each)
    pages = {name: Page((site / name).read_text(encoding="utf-8")) for name in names}
    if not pages:
        yield f"{site} holds no page"
    for name, page in pages.items():
        for link in dict.fromkeys(page.links):
            fault = link_fault(link, name, files, pages)
            if fault:
                yield f"{name}: {link} {fault}"
        for source, text in page.pictures:
            if not text.strip() and not source.endswith("_thumb.png"):
                yield f"{name}: the picture {source} has no alternative text"


def link_fault(link, name, files, pages):
    """Return what is wrong with a link of the page `name`; "" if nothing is."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return ""
    target = name
    if parts.path:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path)))
        if target not in files and f"{target}/index.html" in files:
            target = f"{target}/index.html"
    if target not in files:
        return "leads to no file"
    anchor = unquote(parts.fragment)
    if anchor in ("", "top") or target not in pages or anchor in pages[target].anchors:
        return ""
    return "leads to no element"


def main(arguments):
    """Print the faults of a site; the exit status is 1 if there is one."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    found = list(faults(arguments[0]))
    print(*found, f"{len(found)} faults", sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
