"""Normalizes words and numbers of a text, so that two spellings of the same thing are equal."""

import html
import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
TOKEN = re.compile(
    r"(?P<word>(?:[^\W\d_]\.){2,}|[^\W\d_][^\W_]*+(?:['’][^\W_]++)*+)"
    r"|(?P<iso>\d{4}-\d{1,2}-\d{1,2}(?![^\W_]))"
    r"|(?P<number>(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?)"
    r"(?P<unit>(?i:st|nd|rd|th|s|k|m|mn|bn|am|pm|mm|cm|km|kg|g|lb|lbs|ft|mph|h|min|x))?(?![^\W_])"
    r"|(?P<mixed>[^\W_]++(?:['’][^\W_]++)*+)"
)
"""U.S. or Traveller's; 2018-06-29; 1,234.5 or 29th; 2K16. An underscore parts words."""

MONTHS = "january february march april may june july august september october november december".split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
MONTH = {name: at for at, name in enumerate(MONTHS, 1)} | {name[:3]: at for at, name in enumerate(MONTHS, 1)} | {"sept": 9}
DAY = {name: name for name in DAYS} | {name[:3]: name for name in DAYS}
DAY |= {"tues": "tuesday", "thur": "thursday", "thurs": "thursday"}

SMALL = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
        "nineteen twenty".split()
    )
} | {word: 10 * number for number, word in enumerate("thirty forty fifty sixty seventy eighty ninety".split(), 3)}
LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
UNITS = {"k": 10**3, "m": 10**6, "mn": 10**6, "bn": 10**9}
ORDINALS = {word: number for number, word in enumerate("first second third fourth fifth sixth seventh eighth ninth tenth".split(), 1)}
LONGEST = 30
"""Digits of the longest number that is multiplied by thousand or million."""


class Token(NamedTuple):
    kind: str
    """`word`, `number` or `iso`, a date written 2018-06-29."""
    surface: str
    start: int
    end: int
    unit: str
    """What stands directly behind a number: th, k, km."""


def clean(text: str) -> str:
    """Text without HTML tags and entities, in the characters that Unicode holds to be the same (NFKC)."""
    if "<" in text:
        text = TAG.sub(" ", text)
    if "&" in text:
        text = html.unescape(text)
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def tokens(text: str) -> list[Token]:
    """Tokens of clean text, in order."""
    found = []
    for match in TOKEN.finditer(text):
        start, end = match.span()
        if match.lastgroup in ("word", "mixed"):
            found.append(Token("word", match[0], start, end, ""))
        elif match.lastgroup == "iso":
            found.append(Token("iso", match[0], start, end, ""))
        else:
            found.append(Token("number", match["number"], start, end, (match["unit"] or "").lower()))
    return found


@lru_cache(maxsize=1 << 16)
def key(word: str) -> str:
    """A word without case, accents, apostrophes, dots and the s of a plural or possessive."""
    if not word.isascii():
        word = "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))
    word = word.casefold().replace("’", "'").removesuffix("'s").replace("'", "").replace(".", "")
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def plain(number: str) -> str:
    """Digits without thousands' commas and idle zeros: 1,018.50 is 1018.5, 007 is 7."""
    whole, _, part = number.replace(",", "").partition(".")
    whole, part = whole.lstrip("0") or "0", part.rstrip("0")
    return f"{whole}.{part}" if part else whole


def times(number: str, factor: int) -> str:
    return plain(f"{Decimal(number) * factor:f}") if len(number) <= LONGEST else number


def readings(token: Token) -> tuple[str, ...]:
    """What a number token may mean, the likeliest first: 5k is 5000 or 5, and 1.000 may be 1 or 1000."""
    number = token.surface
    if not number.isascii():
        number = "".join(str(unicodedata.digit(each, each)) for each in number)
    found = [plain(number)]
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+", number) and len(number) <= LONGEST:
        found.append(plain(number.replace(".", "")))
    return (times(found[0], UNITS[token.unit]), *found) if token.unit in UNITS else tuple(found)


def in_words(words: list[str]) -> str:
    """The number that number words in small letters make together: one hundred and five, two million; of several the last."""
    total = current = 0
    for word in words:
        if word in SMALL:
            current += SMALL[word]
        elif word == "hundred":
            current = max(current, 1) * 100
        elif word in LARGE:
            total, current = total + max(current, 1) * LARGE[word], 0
    return str(total + current)
