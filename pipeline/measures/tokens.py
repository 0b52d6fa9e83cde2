"""Normalizes words and numbers of a text, so that two spellings of the same thing are equal."""

import html
import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import regex

from pipeline.metrics import words

UNSPACED = rf"[{words.UNSPACED_SCRIPTS}\p{{Hangul}}]"
BESIDE_DIGIT = regex.compile(rf"(?<={UNSPACED})(?=\d)|(?<=\d)(?![十百千万萬億亿兆십백천만억조])(?={UNSPACED})")
"""Between a number and a script that sets no blank there; 3万 is no 3."""
LAST_WORD = regex.compile(rf"\s*(?:[^\s{words.UNSPACED_SCRIPTS}]+|[{words.UNSPACED_SCRIPTS}])\s*\Z")
"""The last word of a text, or the last character of one without blanks."""
TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
TOKEN = re.compile(
    r"(?P<word>(?:[^\W\d_]\.){2,}|[^\W\d_][^\W_]*+(?:['’][^\W_]++)*+)"
    r"|(?P<iso>\d{4}-\d{1,2}-\d{1,2}(?![^\W_]))"
    r"|(?P<number>(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?)"
    r"(?P<unit>(?i:st|nd|rd|th|s|k|m|mn|bn|am|pm|mm|cm|km|kg|g|lb|lbs|ft|mph|h|min|x))?(?![^\W_])"
    r"|(?P<mixed>[^\W_]++(?:['’][^\W_]++)*+)"
)
"""U.S. or Traveller's; 2018-06-29; 1,234.5 or 29th; 2K16. An underscore separates words."""

MONTHS = "january february march april may june july august september october november december".split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
MONTH_NUMBER = {name: number for number, name in enumerate(MONTHS, 1)}
MONTH_NUMBER |= {name[:3]: number for name, number in MONTH_NUMBER.items()} | {"sept": 9}
WEEKDAY = {name: name for name in DAYS} | {name[:3]: name for name in DAYS}
WEEKDAY |= {"tues": "tuesday", "thur": "thursday", "thurs": "thursday"}

SMALL_NUMBERS = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
        "nineteen twenty".split()
    )
} | {word: 10 * number for number, word in enumerate("thirty forty fifty sixty seventy eighty ninety".split(), 3)}
LARGE_NUMBERS = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
MULTIPLIERS = {"k": 10**3, "m": 10**6, "mn": 10**6, "bn": 10**9}
ORDINALS = {word: number for number, word in enumerate("first second third fourth fifth sixth seventh eighth ninth tenth".split(), 1)}
MAX_DIGITS = 30
"""A longer number is not multiplied by thousand or million."""


class Token(NamedTuple):
    kind: str
    """`word`, `number` or `iso`, a date written 2018-06-29."""
    surface: str
    start: int
    end: int
    unit: str
    """Directly after a number: th, k, km; empty otherwise."""


def normalized_text(text: str) -> str:
    """Text without HTML tags and entities, in Unicode's compatibility form (NFKC), numbers apart from words in scripts without blanks."""
    if "<" in text:
        text = TAG.sub(" ", text)
    if "&" in text:
        text = html.unescape(text)
    return text if text.isascii() else BESIDE_DIGIT.sub(" ", unicodedata.normalize("NFKC", text))


def tokenize(text: str) -> list[Token]:
    """Tokens of a normalized text, in order."""
    tokens = []
    for match in TOKEN.finditer(text):
        start, end = match.span()
        if match.lastgroup in ("word", "mixed"):
            tokens.append(Token("word", match[0], start, end, ""))
        elif match.lastgroup == "iso":
            tokens.append(Token("iso", match[0], start, end, ""))
        else:
            tokens.append(Token("number", match["number"], start, end, (match["unit"] or "").lower()))
    return tokens


@lru_cache(maxsize=1 << 16)
def normal_form(word: str) -> str:
    """A word without case, accents, apostrophes, dots and the s of a plural or possessive."""
    if not word.isascii():
        word = "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))
    word = word.casefold().replace("’", "'").removesuffix("'s").replace("'", "").replace(".", "")
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def plain_number(number: str) -> str:
    """A number without thousands separators and needless zeros: 1,018.50 is 1018.5, 007 is 7."""
    whole, _, fraction = number.replace(",", "").partition(".")
    whole = whole.lstrip("0") or "0"
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def multiply(number: str, factor: int) -> str:
    return plain_number(f"{Decimal(number) * factor:f}") if len(number) <= MAX_DIGITS else number


def readings(token: Token) -> tuple[str, ...]:
    """What a number token may mean, most likely first: 5k is 5000 or 5, and 1.000 may be 1 or 1000."""
    number = token.surface
    if not number.isascii():
        number = "".join(str(unicodedata.digit(character, character)) for character in number)
    values = [plain_number(number)]
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+", number) and len(number) <= MAX_DIGITS:
        values.append(plain_number(number.replace(".", "")))
    return (multiply(values[0], MULTIPLIERS[token.unit]), *values) if token.unit in MULTIPLIERS else tuple(values)


def number_from_words(words: list[str]) -> str:
    """The number that lower-case number words make: one hundred and five, two million; the last one if they make several."""
    total = current = 0
    for word in words:
        if word in SMALL_NUMBERS:
            current += SMALL_NUMBERS[word]
        elif word == "hundred":
            current = max(current, 1) * 100
        elif word in LARGE_NUMBERS:
            total += max(current, 1) * LARGE_NUMBERS[word]
            current = 0
    return str(total + current)
