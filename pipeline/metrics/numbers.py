"""Reads numbers as people write them: thousands separators, decimal commas, fractions, digits of any script. Nothing is guessed.

`1.234` is a number between 1 and 2 in English and more than a thousand in German, so it has no value until the decimal mark is known.
"""

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Literal, NamedTuple

import regex

Mark = Literal[".", ","]
"""The decimal mark of a data set; None where it is not known."""

BLANK = " \u00a0\u2009\u202f"
OTHER_SCALES = (
    "dozens?|bn|mn|mio|mrd|mrz|mln|mld|tsd|tausend|millionen|milliarden?|billionen|mille|milliers?|milliards?|mil|mill[oó]n|millones|"
    "milh[aã]o|milh[oõ]es|bilh[aã]o|bilh[oõ]es|mila|milione|milioni|miliardo|miliardi|duizend|miljoen|miljard|tusen|miljon|miljoner|miljarder|"
    "tys|tysi\\w*|milion\\w*|miliard\\w*|bin|milyon|milyar|lakhs?|lacs?|crores?|लाख|करोड़|тыс\\w*|млн|млрд|миллион\\w*|миллиард\\w*|"
    "ألف|آلاف|مليون|ملايين|مليار|พัน|หมื่น|แสน|ล้าน|천|[万萬億亿千百兆]"
)
"""Words after a number that multiply it; those of which the languages disagree (a billion) are not read."""
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""Letters after which a number needs no blank: Thai, Lao, Burmese, Khmer, kana, Han, Hangul."""
NUMBER = re.compile(
    rf"""
    (?P<sign>(?<![^\W{UNSPACED}])(?<![)\]}}])[-+](?=(?:\\?[$€£¥₹₽₩₺])?[.]?\d))?
    (?<![^\W\d_]\^)(?<![)}}²]\^)(?<![^\W\d_]\^{{)(?<![)}}]\^{{)
    (?<![^\W{UNSPACED}])(?<![〇一二三四五六七八九十百千万萬億亿兆两兩])(?<![^\W{UNSPACED}][.,](?=\d))(?:\\?[$€£¥₹₽₩₺])?
    (?:
        (?P<date>\d{{4}}-\d\d?-\d\d?(?!\d)|\d\d?-\d\d?-\d{{4}}(?!\d)
          |\d{{2,4}}[ ]?[年년][ ]?\d\d?[ ]?[月월](?:[ ]?\d\d?[ ]?[日号일])?
          |\d\d?[ ]?[月월][ ]?\d\d?[ ]?[日号일]|\d\d?[时時点點시][ ]?\d\d?[分분])
      | (?P<mixed>\d{{1,9}})[ ](?P<part>\d{{1,9}}/\d{{1,9}})(?![\d/.,]*\d)
      | (?P<body>(?:\d{{1,3}}(?:[{BLANK}]\d{{3}})+(?!\d)|\d+|(?=[.]\d))(?:[.,'’٫٬_:/]\d+)*)
        (?P<exponent>[eE][-+]?\d{{1,3}}(?![\w]))?
    )
    (?P<power>\s?(?:(?:[×x*·]|\\times)\s?10\s?)?(?:\^|\*\*)\s?[\d{{(-]|[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻₀₁₂₃₄₅₆₇₈₉])?
    (?:[ ]?(?P<scale>hundred|thousand|million|billion|trillion)s?(?!\w))?
    (?P<unsure>[{BLANK}]?(?:{OTHER_SCALES})(?!\w)|[万萬億亿兆만억]|千(?![克米瓦卡])|百(?!分)|(?-i:[kKMB])(?!\w)
        |[ ](?-i:[kKMB])(?=[ ]?[$€£¥₹₽₩₺])|(?<=\b0)x[0-9a-f]+(?!\w)|x\d+(?!\w))?
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""A run of digits with everything that may belong to it. In `5-3` the sign is a minus between two numbers; the 2 of `H2O` is none."""

SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
LATEX = (
    (re.compile(r"(?<=\d)(?=\\[dt]?frac)"), " "),
    (re.compile(r"\\[dt]?frac\s*(?:\{(\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d))"), r"\1\2/\3\4"),
    (re.compile(r"(?<=\d)(?:\{,\}|\\[,!;])(?=\d{3})"), ","),
)
WESTERN = re.compile(r"[1-9]\d{0,2}(?:[^\d:/]\d{3})+")
INDIAN = re.compile(r"[1-9]\d?(?:,\d\d)+,\d{3}")
DOUBTFUL = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
"""Thousands to some readers and thousandths to others."""
SILENT = str.maketrans(dict.fromkeys(".,;:!?()[]\"'*_`=", " "))
"""Signs that change no amount."""
BELOW_ZERO = regex.compile(
    r"(?<![-\d.,])(\d{1,4}(?:[.,]\d{1,3})?)(?=[^.\n\d]{0,20}(?:\bbelow\s+zero|\bunter\s+null|\bsous\s+zéro|\bbajo\s+cero|\bsotto\s+zero|"
    r"\babaixo\s+de\s+zero|\bниже\s+нуля)\b)",
    regex.IGNORECASE,
)
CURRENCY_CODE = regex.compile(r"\b(USD|EUR|GBP|CHF|JPY|CNY|RMB|INR|AUD|CAD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR|KRW|TRY|RUB)(?=\d)")
MINUS_WORD = regex.compile(
    r"(?:\bnegative|(?<![\p{L}\d)\]]\s*)минус|(?<![\d\p{L}])(?:マイナス|마이너스|영하)|(?<!\d)(?:负|負|零下)"
    r"|(?:(?:^|[:：=(,;.!?\n*_]|\b(?:is|was|are|equals|at|to|of|and|between|from|zwischen|von|ist|bei|auf|est|es|é|è|=))\s*)\K(?:minus|moins|menos|meno|eksi))"
    r"\s?(?=(?:\\?[$€£¥])?\d)",
    regex.IGNORECASE,
)
"""A word for the sign of a number; `10 minus 3`, `au moins 5` and `más o menos 5` have none."""
MAX_RUN_DIGITS = 2000
"""Digits of a run that is still read as a number."""


AMOUNT = r"\d{1,12}(?:[.,]\d{1,6})?(?![\d.,/%:]{0,9}\d)"
WHOLE_OF = regex.compile(
    rf"(?<=\d)((?:\s+\p{{L}}+){{0,2}}(?=\s+out\s)|)\s+(?:out\s+of|of|von|sur|su|из)\s+(?:(?:a|the)\s+)?(?:(?:possible|total|maximum)\s+)?{AMOUNT}",
    regex.IGNORECASE,
)
"""What a number is a part of: `out of 10` says nothing of the 7 before it."""
SCALE = regex.compile(
    rf"\b(?:on|using)\s+(?:a|the)\s+(?:[\w-]+\s+)?scale\b(?:\s+(?:of|from)\s+{AMOUNT}(?:\s*(?:-|to|and)\s*{AMOUNT})?)?"
    rf"|{AMOUNT}\s?-\s?{AMOUNT}\s+scale\b",
    regex.IGNORECASE,
)
"""A scale that is named, and is no answer."""


class Number(NamedTuple):
    """A number found in a text."""

    start: int
    value: str | None
    """Its canonical spelling; None where the text can be read in more than one way, or is a power or another form that is not read."""


def find(text: str, mark: Mark | None) -> list[Number]:
    """All numbers in a text, in order; dates and times are none. Positions count in `plain(text)`."""
    return [Number(match.start(), value_of(match, mark)) for match in runs(plain(text))]


def read(text: str, mark: Mark | None) -> str | None:
    """The number that a text consists of, a unit aside, in canonical spelling; None if it is none, or not certainly one."""
    numbers = find(text, mark)
    return numbers[0].value if len(numbers) == 1 else None


def without_scale(text: str) -> str:
    """A `plain` text without the scales and wholes that it names: `out of 5`, `on a scale from 0 to 5`."""
    return str(WHOLE_OF.sub(r"\1", SCALE.sub("", text)))


def is_doubtful(text: str) -> bool:
    """Whether a text holds a number that can be read only once its decimal mark is known."""
    return any(match["body"] and DOUBTFUL.fullmatch(match["body"]) for match in runs(plain(text)))


def content(text: str, mark: Mark | None) -> tuple[list[str], list[str]]:
    """All that a text says, however its numbers are spelled: their values in order, and the words and signs around them, sorted.

    `€5` and `5.00 €` say the same; `5 kg` and `5 g` do not, nor `3 of 5` and `4 of 5`, nor `500` and `(500)`, which accountants
    write for a loss.
    """
    whole = plain(text)
    matches = list(runs(whole))
    starts, ends = [match.start() for match in matches], [match.end() for match in matches]
    around = [whole[end:start] for end, start in zip([0, *ends], [*starts, len(whole)], strict=True)]
    signs = [character for match in matches for character in match[0] if unicodedata.category(character) == "Sc"]
    in_brackets = ["()" for before, after in pairwise(around) if before.endswith("(") and after.startswith(")")]
    words = [*" ".join([*around, *signs]).casefold().translate(SILENT).split(), *in_brackets]
    return [value_of(match, mark) or match[0] for match in matches], sorted(words)


def unit(text: str) -> str:
    """The unit of a text that consists of a number and a word or sign, in lower case and singular; empty for any other text."""
    whole = plain(text)
    match = next(runs(whole), None)
    if match is None:
        return ""
    around = f"{whole[: match.start()]} {whole[match.end() :]}".translate(SILENT).split()
    signs = [character for character in match[0] if unicodedata.category(character) == "Sc"]
    words = [*around, *signs]
    return (words[0][:-1] if len(words[0]) > 3 and words[0].endswith("s") else words[0]).casefold() if len(words) == 1 else ""


def runs(text: str) -> Iterator[re.Match[str]]:
    return (match for match in NUMBER.finditer(text) if not match["date"] and not is_date_or_time(match["body"] or ""))


def plain(text: str) -> str:
    """The text with the digits and signs of other scripts, of LaTeX and of typesetting in ASCII, and `minus 5` as -5."""
    if not text.isascii():
        text = "".join(plain_character(character, before) for before, character in zip(" " + text, text, strict=False))
    for pattern, replacement in LATEX:
        text = pattern.sub(replacement, text)
    return str(CURRENCY_CODE.sub(r"\1 ", BELOW_ZERO.sub(r"-\1", MINUS_WORD.sub("-", text))))


def plain_character(character: str, before: str) -> str:
    if unicodedata.category(character) == "Nd":
        return str(unicodedata.digit(character))
    if unicodedata.decomposition(character).startswith("<fraction>"):
        return (" " if before.isdigit() else "") + unicodedata.normalize("NFKC", character).replace("\u2044", "/")
    return {"\u2212": "-", "\u2013": "-", "\u2044": "/", "\uff0e": ".", "\uff0c": ",", "\ufe63": "-", "\uff0d": "-"}.get(
        character, character
    )


def is_date_or_time(body: str) -> bool:
    return bool(re.fullmatch(r"\d{1,2}:\d\d(?::\d\d)?|\d{1,2}([./])\d{1,2}\1(?:\d{4}|\d\d)|\d{4}([./])\d{1,2}\2\d{1,2}", body))


def value_of(match: re.Match[str], mark: Mark | None) -> str | None:
    """The canonical spelling of a run."""
    if match["power"] or match["unsure"]:
        return None
    value = Fraction(match["part"]) + int(match["mixed"]) if match["part"] and not match["part"].endswith("/0") else None
    if match["body"]:
        value = body_value(match["body"], match["exponent"] or "", mark)
    if value is None:
        return None
    return canonical_number(value * SCALES.get((match["scale"] or "").lower(), 1) * (-1 if match["sign"] == "-" else 1), mark)


def body_value(body: str, exponent: str, mark: Mark | None) -> Fraction | None:
    if len(body) > MAX_RUN_DIGITS:
        return None
    if re.fullmatch(r"\d+/0*[1-9]\d*", body):
        return Fraction(body)
    digits = ungrouped(body, mark)
    return None if digits is None else Fraction(Decimal(digits + exponent))


def ungrouped(body: str, mark: Mark | None) -> str | None:
    """The digits of a run without its thousands separators and with a point as decimal mark; None if that is not certain."""
    body = body.replace("’", "'")
    separators = set(re.findall(r"\D", body))
    whole, decimal, rest = split_decimals(body, mark, separators)
    if decimal is None or not (whole.isdecimal() or not whole or is_grouped(whole)) or (decimal and not rest.isdecimal()):
        return None
    return re.sub(r"\D", "", whole) + (f".{rest}" if decimal else "")


def is_grouped(whole: str) -> bool:
    """Whether the separators of a whole number stand where thousands do, in the West or in India."""
    return bool(INDIAN.fullmatch(whole) or (WESTERN.fullmatch(whole) and len(set(re.findall(r"\D", whole))) == 1))


def split_decimals(body: str, mark: Mark | None, separators: set[str]) -> tuple[str, str | None, str]:
    """(whole part, decimal mark, decimals); the mark is empty for a whole number, and None if it cannot be told."""
    marks = separators & {".", ",", "٫"}
    last = max(marks, key=body.rfind, default="")
    if not marks or (body.count(last) > 1 and last != mark and len(marks) == 1):
        return body, "", ""  # every separator groups, which `ungrouped` checks
    if body.count(last) > 1:
        return body, None, ""
    whole, _, rest = body.rpartition(last)
    if mark is None and DOUBTFUL.fullmatch(body):
        return body, None, ""
    if mark is not None and last not in (mark, "٫"):
        return (body, "", "") if marks == {last} else (body, None, "")
    return whole, last, rest


def canonical_number(value: Fraction, mark: Mark | None) -> str:
    """A number in the one spelling that reading returns, and that is read again as the same number.

    `2.5` (`2,5` with a decimal comma), and `1/3` where no decimals are exact.
    """
    places = next((n for n in range(1100) if (value * 10**n).denominator == 1), None) if only_two_and_five(value.denominator) else None
    if places is None:
        return f"{value.numerator}/{value.denominator}"
    digits = f"{abs(value.numerator) * 10**places // value.denominator:0{places + 1}d}"
    whole, decimals = (digits[:-places], digits[-places:]) if places else (digits, "")
    if mark is None and DOUBTFUL.fullmatch(f"{whole}.{decimals}"):
        decimals += "0"
    return ("-" if value < 0 else "") + whole + (f"{mark or '.'}{decimals}" if decimals else "")


def only_two_and_five(number: int) -> bool:
    for prime in (2, 5):
        while number % prime == 0:
            number //= prime
    return number == 1


def as_float(text: str | None, mark: Mark | None) -> float | None:
    """The value of a canonical spelling of that mark; None without one, or where it is too large for a float."""
    if text is None:
        return None
    try:
        return float(Fraction(text.replace(",", ".") if mark == "," else text))
    except OverflowError:
        return None
