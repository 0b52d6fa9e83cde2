"""Converts charts to SVG that follows the reader's theme: placeholder colours become CSS variables."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from pipeline.scoring.verdict import BETTER, WORSE

THEME: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ink": ("#211f1c", "#ebe7df"),
        "muted": ("#67625a", "#a8a297"),
        "rule": ("#e3ded4", "#37342f"),
        "edge": ("#8a8479", "#7d776e"),
        "paper": ("#fbfaf7", "#171614"),
        "raised": ("#fffefc", "#1f1d1b"),
        "mark": ("#ffe69a", "#66520f"),
        BETTER: ("#0b6b5f", "#5fcdb8"),
        WORSE: ("#ab3a12", "#f4966c"),
        "unsure": ("#67625a", "#a8a297"),
        "s0": ("#0b6b5f", "#5fcdb8"),
        "s1": ("#b0590a", "#f0a35c"),
        "s2": ("#4a4fb0", "#a3a8ff"),
        "s3": ("#a3285f", "#f58bb5"),
        "s4": ("#3f7413", "#9ed06a"),
        "s5": ("#1f6f9f", "#7cc4ee"),
        "s6": ("#7d5a2b", "#d3b07c"),
        "s7": ("#6a6a6a", "#bdbdbd"),
    }
)
"""CSS variable to its colour on light and on dark paper."""
INK = {name: f"#fe{number:02x}{number:02x}" for number, name in enumerate(THEME)}
"""The placeholder that a chart is drawn with."""
SERIES = [name for name in THEME if re.fullmatch(r"s\d", name)]
NAMESPACE = "http://www.w3.org/2000/svg"
FONT = "system-ui, sans-serif"
KEPT = {"width", "height", "viewBox"}
SPOKEN = {"role", "aria-label", "aria-roledescription", "aria-hidden", "class", "pointer-events"}
SHAPES = {"g", "path", "line", "rect", "circle"}
LOOKS = {
    "d", "transform", "x", "y", "x1", "y1", "x2", "y2", "dx", "dy", "cx", "cy", "r", "width", "height", "viewBox", "fill", "fill-opacity",
    "stroke", "stroke-width", "stroke-opacity", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "stroke-dasharray",
    "stroke-dashoffset", "opacity", "display", "text-anchor", "font-family", "font-size", "font-weight", "font-style",
}  # fmt: skip
"""What another version of the drawing library may draw otherwise; SHAPES and LOOKS say nothing in words."""


def draw(chart: Any, label: str) -> str:
    """An Altair chart as SVG; marks with a description get a tooltip, the whole one label for screen readers."""
    import altair as alt
    import vl_convert

    with alt.data_transformers.enable("default", max_rows=None):
        text = vl_convert.vegalite_to_svg(chart.to_dict(validate=False))  # every part was validated when it was made
    ElementTree.register_namespace("", NAMESPACE)
    root = ElementTree.fromstring(text)
    for element in root.iter():
        tidy(element)
    for name in set(root.attrib) - KEPT:
        del root.attrib[name]
    root.attrib |= {"role": "img", "aria-label": label, "font-family": FONT}
    drawn = ElementTree.tostring(root, encoding="unicode")
    for name, placeholder in INK.items():
        drawn = drawn.replace(f'"{placeholder}"', f'"var(--{name})"')
    return drawn


def tidy(element: ElementTree.Element) -> None:
    """A mark's description becomes its tooltip; what Vega says to screen readers goes, as the page has a table instead."""
    said = element.get("aria-label")
    is_mark = element.get("role") == "graphics-symbol" and not element.tag.endswith("}g")
    if said and is_mark:
        title = ElementTree.Element(f"{{{NAMESPACE}}}title")
        title.text = said
        element.insert(0, title)
    for name in SPOKEN.intersection(element.attrib):
        del element.attrib[name]
    if element.tag.endswith("}text"):
        element.attrib.pop("font-family", None)


def said(drawn: str) -> str:
    """All of a figure but its geometry: every element that is no shape and every attribute that is no look, with all text, in order.

    What an HTML parser might read otherwise than an XML parser (comments, declarations, text that is not well-formed) is returned as it is.
    """
    if "<!" in drawn or "<?" in drawn:
        return drawn
    try:
        root = ElementTree.fromstring(drawn)
    except ElementTree.ParseError:
        return drawn
    return "".join(map(told, root.iter()))


def told(element: ElementTree.Element) -> str:
    """An element without its looks; nothing for a shape without words."""
    words = "".join(f" {name}={quoteattr(value)}" for name, value in sorted(element.attrib.items()) if name not in LOOKS)
    text, tail = (escape(each) if each and each.strip() else "" for each in (element.text, element.tail))
    if element.tag in SHAPES and not (words or text or tail):
        return ""
    return f"<{element.tag}{words}>{text}</{element.tag}>{tail}"


def inline(drawn: str) -> str:
    """For an HTML page, whose parser knows the namespace by itself."""
    return drawn.replace(f' xmlns="{NAMESPACE}"', "", 1)


def standalone(drawn: str) -> str:
    """A file that brings its own colours."""
    head, close, rest = drawn.partition(">")
    return f"{head}{close}<style>{variables('svg')}</style>{rest}\n"


TITLE = 26
"""Height of the line above a drawing that stands alone, in pixels."""


def titled(drawn: str) -> str:
    """A drawing that no heading stands above, with its label, up to the first semicolon, over it."""
    root = ElementTree.fromstring(drawn)
    said = root.attrib["aria-label"].partition(";")[0]
    width, height = max(float(root.attrib["width"]), 7.5 * len(said)), float(root.attrib["height"]) + TITLE
    root.attrib |= {"width": f"{width:g}", "height": f"{height:g}", "viewBox": f"0 {-TITLE} {width:g} {height:g}"}
    ElementTree.SubElement(root, f"{{{NAMESPACE}}}text", {"x": "4", "y": "-9", "font-size": "13", "fill": "var(--ink)"}).text = said
    return ElementTree.tostring(root, encoding="unicode")


def png(drawn: str) -> bytes:
    """A picture of twice the size on light paper, for places that take no SVG."""
    import vl_convert

    plain = re.sub(r"var\(--(\w+)\)", lambda found: THEME[found[1]][0], drawn)
    head, close, rest = plain.partition(">")
    left, top, width, height = ElementTree.fromstring(drawn).attrib["viewBox"].split()
    paper = f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="{THEME["paper"][0]}"/>'
    made: bytes = vl_convert.svg_to_png(f"{head}{close}{paper}{rest}", scale=2)
    return made


def variables(selector: str) -> str:
    """The theme as CSS."""
    light, dark = (";".join(f"--{name}:{colours[side]}" for name, colours in THEME.items()) for side in (0, 1))
    return f"{selector}{{{light}}}@media (prefers-color-scheme:dark){{{selector}{{{dark}}}}}"
