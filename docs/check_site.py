"""``python docs/check_site.py SITE``: links, anchors and pictures of the built site, offline.

A link of a page to a page must lead to a file, and its anchor to an element. A picture must have a
file and an alternative text. Addresses of other hosts are not asked for.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page links to, what may be linked to in it, and its pictures."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors, self.pictures = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        """Note links, anchors and pictures of a tag."""
        found = dict(attributes)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        for name in ("href", "src"):
            if found.get(name):
                self.links.append(found[name])
        if tag == "img":
            self.pictures.append((found.get("src"), found.get("alt")))


def faults(site):
    """Yield what is wrong with a built site, a sentence each.

    Parameters
    ----------
    site : path-like
        Folder of the HTML files.
    """
    site = Path(site).resolve()
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site} holds no page"
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        for link in dict.fromkeys(page.links):
            yield from (f"{name}: {fault}" for fault in link_faults(link, path, site, pages))
        for source, text in page.pictures:
            if not (text or "").strip():
                yield f"{name}: the picture {source} has no alternative text"


def link_faults(link, path, site, pages):
    """Yield what is wrong with a link of the page at `path`."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(site) or not target.is_file():
        yield f"{link} leads to no file"
    elif target in pages and unquote(parts.fragment) not in {"", "top", *pages[target].anchors}:
        yield f"{link} leads to no element"


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
