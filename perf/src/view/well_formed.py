"""Judges pictures and pages by parsers that know nothing of who wrote them: an XML parser for SVG, an HTML parser for pages.

On standard input, as JSON: `pictures` (SVG), `pages` (HTML), and `said`, a text that each of them must show. Each picture must be
well-formed XML with finite numbers, the ones inside pages too; in a page every element must end where it should. Prints how many
pictures there were, and how many inside pages.
"""

import json
import math
import re
import sys
import xml.etree.ElementTree as xml
from html.parser import HTMLParser

SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = {
    "cx", "cy", "fill-opacity", "font-size", "height", "r", "rx", "stroke-opacity", "stroke-width", "width", "x", "x1", "x2", "y", "y1", "y2",
}
# Elements of HTML that have no end.
ENDLESS = {"meta"}


def picture(text):
    """What the picture shows as text."""
    root = xml.fromstring(text)
    assert root.tag == SVG + "svg", root.tag
    for element in root.iter():
        assert element.tag.startswith(SVG), element.tag
        for name, value in element.attrib.items():
            numbers = [value] if name in NUMBERS else []
            if name in ("points", "viewBox"):
                numbers = re.split("[ ,]+", value) if value else []
            if name == "d":
                numbers = re.findall("[^MhvzHVLZ ]+", value)
            for number in numbers:
                assert math.isfinite(float(number)), f"{name} of {element.tag} is {value}"
    return "".join(root.itertext())


class Page(HTMLParser):
    """Keeps the elements that are open, and the text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open = []
        self.text = []

    def handle_starttag(self, tag, attrs):
        if tag not in ENDLESS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> in {self.open}"
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


asked = json.load(sys.stdin.buffer)
inside = 0
for text in asked["pictures"]:
    shown = picture(text)
    assert asked["said"] in shown, shown
for text in asked["pages"]:
    page = Page()
    page.feed(text)
    page.close()
    assert not page.open, page.open
    assert asked["said"] in "".join(page.text), page.text
    for part in re.findall("<svg .*?</svg>", text, re.DOTALL):
        picture(part)
        inside += 1
print(len(asked["pictures"]), inside)
