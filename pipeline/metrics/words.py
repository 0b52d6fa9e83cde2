"""Text in one spelling, and split into words, in any script."""

import unicodedata
from typing import Any

import regex

UNSPACED_SCRIPTS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts without blanks between words."""
MINUS = "\ue000"
"""Placeholder for the minus of a number while other signs are dropped."""
WORD = regex.compile(
    rf"{MINUS}?(?:[{UNSPACED_SCRIPTS}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[{UNSPACED_SCRIPTS}]]+|[\p{{Extended_Pictographic}}--\p{{N}}]\p{{M}}*)",
    regex.V1,
)
"""A word, a character of a script without blanks, or an emoji."""
SIGNED = regex.compile(rf"(?<![[\w\p{{M}})\]]--[{UNSPACED_SCRIPTS}\p{{Hangul}}]])[-−–]\p{{Sc}}?(?=\d)|(?<=\d[eE])[-−](?=\d)", regex.V1)
GROUPED = regex.compile(r"(?<=\d),(?=\d{3}(?!\d))")
"""A comma between thousands."""
CONTENT = regex.compile(
    rf"(?<![[\w)\]]--[{UNSPACED_SCRIPTS}\p{{Hangul}}]])[-−–](?=\p{{Sc}}?\d)|[\d]+(?:[.,:/'’-]\d+)*|[{UNSPACED_SCRIPTS}]\p{{M}}*|[[\p{{L}}\p{{M}}\p{{N}}]--[\d{UNSPACED_SCRIPTS}]]+"
    r"|(?<=\w)(?:#|\++)|[\p{Sm}\p{Sc}%‰°^--[|~]]|!(?==)|[\p{Extended_Pictographic}--\p{N}]",
    regex.V1,
)
LIST_MARK = regex.compile(r"[,;\n、，；،؛](?!\d)")
IN_BRACKETS = regex.compile(r"\(\s*\p{Sc}?\d[\d.,]*\s*\)")
"""A number in brackets, which accountants write for a loss."""
UNSPACED = regex.compile(rf"[{UNSPACED_SCRIPTS}]\p{{M}}*")
INVISIBLE = regex.compile("[\u200b\u2060\ufeff\u00ad\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufe0e\ufe0f]")
STRAIGHT = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"'})
WRAPPERS = (
    ("**", "**"),
    ("__", "__"),
    ("*", "*"),
    ("_", "_"),
    ("`", "`"),
    ('"', '"'),
    ("'", "'"),
    ("“", "”"),
    ("”", "”"),
    ("‘", "’"),
    ("«", "»"),
    ("»", "«"),
    ("„", "“"),
    ("„", "”"),
    ("‚", "‘"),
    ("‹", "›"),
    ("「", "」"),
    ("『", "』"),
)
KEYED = regex.compile(r"""\{\s*(?:"[^"]*"|'[^']*'|\w+)\s*:\s*(\[[^\[\]]*\]|"[^"]*"|'[^']*')\s*,?\s*\}""")
"""A JSON object of one list or text."""
MAX_INTEGER = 2.0**63


def composed(text: str) -> str:
    """Unicode NFC without signs that nobody sees; full-width and half-width forms are the plain ones. 10² stays distinct from 102."""
    if text.isascii():
        return text
    plain = "".join(unicodedata.normalize("NFKC", c) if is_width_form(c) else c for c in text)
    return unicodedata.normalize("NFC", INVISIBLE.sub("", plain))


def is_width_form(character: str) -> bool:
    return unicodedata.decomposition(character).startswith(("<wide>", "<narrow>"))


def normalise(text: str) -> str:
    """Text for comparison: `composed`, straight quotes, case folded, single spaces, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", composed(text).translate(STRAIGHT).casefold()).split())


def strip_wrappers(text: str) -> str:
    """The text without quotes or markup around the whole of it, and without its final full stop."""
    while True:
        bare = text.strip()
        if bare.endswith((".", "。", "।", "۔")) and not bare.endswith("..") and len(bare) > 1:
            bare = bare[:-1]
        for opening, closing in WRAPPERS:
            inside = bare[len(opening) : -len(closing)]
            if len(bare) > len(opening + closing) and bare.startswith(opening) and bare.endswith(closing) and opening not in inside:
                bare = inside
        if bare == text:
            return bare
        text = bare


def words(text: str) -> list[str]:
    """Lower-cased words; the minus of a number is part of it. Text without any has its single characters instead."""
    folded = composed(text).lower()
    matches = [word.replace(MINUS, "-") for word in WORD.findall(SIGNED.sub(MINUS, folded))]
    return matches or [character for character in folded if not character.isspace()]


def content(text: str) -> tuple[str, ...]:
    """What a text says, habits of writing aside: its words and whole numbers in order, and the signs that change a value.

    Case, articles, quotes, markup and marks between words do not count; those between digits do, and the minus, `%`, `$`, `<` and `c#`.
    """
    plain = GROUPED.sub("", composed(text).casefold())
    tokens = [match[0] for match in CONTENT.finditer(plain) if match[0] not in ("a", "an", "the")]
    return ("()", *tokens) if IN_BRACKETS.fullmatch(plain.strip()) else tuple(tokens)


def is_list(text: str) -> bool:
    """Whether a text may be a list, so that the order of its parts says nothing."""
    return LIST_MARK.search(text) is not None


def spaced(text: str) -> str:
    """The text with blanks around every character of a script that has none."""
    return str(UNSPACED.sub(r" \g<0> ", composed(text)))


def same_numbers(value: Any) -> Any:
    """A JSON value in which 3.0 is 3, at any depth."""
    if isinstance(value, dict):
        return {key: same_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [same_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < MAX_INTEGER else value
