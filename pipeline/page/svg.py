"""Converts charts to SVG that follows the reader's theme: placeholder colours become CSS variables."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

THEME: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ink": ("#211f1c", "#ebe7df"),
        "muted": ("#67625a", "#a8a297"),
        "rule": ("#e3ded4", "#37342f"),
        "edge": ("#8a8479", "#7d776e"),
        "paper": ("#fbfaf7", "#171614"),
        "raised": ("#fffefc", "#1f1d1b"),
        "mark": ("#ffe69a", "#66520f"),
        "good": ("#0b6b5f", "#5fcdb8"),
        "bad": ("#ab3a12", "#f4966c"),
        "open": ("#67625a", "#a8a297"),
        "s0": ("#0b6b5f", "#5fcdb8"),
        "s1": ("#b0590a", "#f0a35c"),
        "s2": ("#4a4fb0", "#a3a8ff"),
        "s3": ("#a3285f", "#f58bb5"),
        "s4": ("#3f7413", "#9ed06a"),
        "s5": ("#1f6f9f", "#7cc4ee"),
        "s6": ("#7d5a2b", "#d3b07c"),
        "s7": ("#6a6a6a", "#bdbdbd"),
        "limited": ("#8a5a00", "#e8b84a"),
    }
)
"""CSS variable to its colour on light and on dark paper."""
INK = {name: f"#fe{number:02x}{number:02x}" for number, name in enumerate(THEME)}
"""CSS variable to the placeholder colour that a chart is drawn with."""
SERIES = [name for name in THEME if re.fullmatch(r"s\d", name)]
MARK = re.compile(r"<(?!svg\b)[^<>]*>")
"""A tag inside of a drawing; the first one holds the label, which is text."""
DEFAULTS = re.compile(r' (?:opacity="1"|font-weight="normal")|<path d="" display="none" />')
DECIMALS = re.compile(r"-?\d+\.\d{4,}")
NAMESPACE = "http://www.w3.org/2000/svg"
FONT = "system-ui, sans-serif"
ROOT_ATTRIBUTES = {"width", "height", "viewBox"}
SCREEN_READER_ATTRIBUTES = {"role", "aria-label", "aria-roledescription", "aria-hidden", "class", "pointer-events"}
SHAPES = {"g", "path", "line", "rect", "circle"}
GEOMETRY_ATTRIBUTES = {
    "d", "transform", "x", "y", "x1", "y1", "x2", "y2", "dx", "dy", "cx", "cy", "r", "width", "height", "viewBox", "fill", "fill-opacity",
    "stroke", "stroke-width", "stroke-opacity", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "stroke-dasharray",
    "stroke-dashoffset", "opacity", "display", "text-anchor", "font-family", "font-size", "font-weight", "font-style",
}  # fmt: skip
"""Attributes that another version of the drawing library may set differently; neither they nor SHAPES hold text."""


def draw(chart: Any, label: str, description: str) -> str:
    """An Altair chart as SVG; marks with a description get a tooltip, the whole a label and a description for screen readers.

    Args:
        description: the figures of the chart in words.
    """
    import altair as alt
    import vl_convert

    with alt.data_transformers.enable("default", max_rows=None):
        text = vl_convert.vegalite_to_svg(chart.to_dict(validate=False))  # every part was validated on construction
    ElementTree.register_namespace("", NAMESPACE)
    root = ElementTree.fromstring(text)
    for element in root.iter():
        tidy(element)
    for name in set(root.attrib) - ROOT_ATTRIBUTES:
        del root.attrib[name]
    root.attrib |= {"role": "img", "aria-label": label, "font-family": FONT}
    words = ElementTree.Element(f"{{{NAMESPACE}}}desc")
    words.text = description
    root.insert(0, words)
    drawing = ElementTree.tostring(root, encoding="unicode")
    for name, placeholder in INK.items():
        drawing = drawing.replace(f'"{placeholder}"', f'"var(--{name})"')
    return drawing


def tidy(element: ElementTree.Element) -> None:
    """Turn a mark's description into its tooltip, and remove Vega's text for screen readers, as the page has a table instead."""
    description = element.get("aria-label")
    is_mark = element.get("role") == "graphics-symbol" and not element.tag.endswith("}g")
    if description and is_mark:
        title = ElementTree.Element(f"{{{NAMESPACE}}}title")
        title.text = description
        element.insert(0, title)
    for name in SCREEN_READER_ATTRIBUTES.intersection(element.attrib):
        del element.attrib[name]
    if element.tag.endswith("}text"):
        element.attrib.pop("font-family", None)


def without_geometry(drawing: str) -> str:
    """All of a figure but its geometry: elements that are not shapes, attributes that are not geometry, and all text, in order.

    Text that HTML and XML parsers might read differently (comments, declarations, not well-formed) is returned as it is.
    """
    if "<!" in drawing or "<?" in drawing:
        return drawing
    try:
        root = ElementTree.fromstring(drawing)
    except ElementTree.ParseError:
        return drawing
    return "".join(map(element_without_geometry, root.iter()))


def element_without_geometry(element: ElementTree.Element) -> str:
    """An element without its geometry; empty for a shape without words."""
    words = "".join(f" {name}={quoteattr(value)}" for name, value in sorted(element.attrib.items()) if name not in GEOMETRY_ATTRIBUTES)
    text, tail = (escape(part) if part and part.strip() else "" for part in (element.text, element.tail))
    if element.tag in SHAPES and not (words or text or tail):
        return ""
    return f"<{element.tag}{words}>{text}</{element.tag}>{tail}"


def inline_svg(drawing: str, name: str) -> str:
    """A drawing for an HTML page, as short as it can be there: the parser implies the namespace, and a thousandth of a pixel is enough.

    Args:
        name: makes the id that ties the description to the drawing.
    """
    plain = drawing.replace(f' xmlns="{NAMESPACE}"', "", 1)
    short = MARK.sub(lambda tag: DECIMALS.sub(thousandths, DEFAULTS.sub("", tag[0])), plain)
    return short.replace("<svg ", f'<svg aria-describedby="{name}-words" ', 1).replace("<desc>", f'<desc id="{name}-words">', 1)


def thousandths(number: re.Match[str]) -> str:
    return f"{float(number[0]):.3f}".rstrip("0").rstrip(".")


def standalone(drawing: str) -> str:
    """A drawing as a file of its own, with its colours."""
    head, close, rest = drawing.partition(">")
    return f"{head}{close}<style>{variables('svg')}</style>{rest}\n"


TITLE_HEIGHT = 26
"""Pixels above a drawing with a title."""


def with_title(drawing: str) -> str:
    """A drawing with its label, up to the first semicolon, as a title above it."""
    root = ElementTree.fromstring(drawing)
    title = root.attrib["aria-label"].partition(";")[0]
    width = max(float(root.attrib["width"]), 7.5 * len(title))
    height = float(root.attrib["height"]) + TITLE_HEIGHT
    root.attrib |= {"width": f"{width:g}", "height": f"{height:g}", "viewBox": f"0 {-TITLE_HEIGHT} {width:g} {height:g}"}
    ElementTree.SubElement(root, f"{{{NAMESPACE}}}text", {"x": "4", "y": "-9", "font-size": "13", "fill": "var(--ink)"}).text = title
    return ElementTree.tostring(root, encoding="unicode")


def png(drawing: str) -> bytes:
    """A PNG of twice the size on light paper, for places without SVG."""
    import vl_convert

    plain = re.sub(r"var\(--(\w+)\)", lambda match: THEME[match[1]][0], drawing)
    head, close, rest = plain.partition(">")
    left, top, width, height = ElementTree.fromstring(drawing).attrib["viewBox"].split()
    paper = f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="{THEME["paper"][0]}"/>'
    image: bytes = vl_convert.svg_to_png(f"{head}{close}{paper}{rest}", scale=2)
    return image


def variables(selector: str) -> str:
    """The theme as CSS: variables of a selector, light and dark."""
    light, dark = (";".join(f"--{name}:{colours[side]}" for name, colours in THEME.items()) for side in (0, 1))
    return f"{selector}{{{light}}}@media (prefers-color-scheme:dark){{{selector}{{{dark}}}}}"
