"""What a prompt asks for: a year, a unit, a noun."""

import re
from functools import lru_cache

import regex

FLAGS = regex.IGNORECASE | regex.VERSION1
YEAR = regex.compile(r"(?<![\d.,$€£-])(?:1[5-9]|20)\d\d(?![\d.,-]*\d)")
ASKS_YEAR = regex.compile(
    r"(?:^|[.?!:。？]\s*)(?:and\s+)?when\s+(?:was|were|did|is|are)\b|\b(?:what|which|founding|birth|release)\s+year\b|\byear\s*:|\bwann\b|\bwelche[mns]\s+jahr|"
    r"\bquand\b|\bquelle\s+année|\bcuándo\b|\bqué\s+año|\bquando\b|\b(?:che|quale|que)\s+an[no]o?\b|\bкогда\b|\bкаком\s+году|哪一?年|何年|いつ|언제|몇\s?년|"
    r"متى|\bkiedy\b|ne\s+zaman|\bwanneer\b",
    regex.IGNORECASE | regex.MULTILINE,
)
QUESTION_NOUN = regex.compile(
    r"\b(?:how\s+many(?:\s+(?:more|other|extra|additional|fewer))?|number\s+of|wie\s*viele|anzahl\s+der|combien\s+d(?:e\s+|['’])|cuánt[oa]s|quant[ie]|quant[oa]s|hoeveel|сколько|ile|hur\s+många)\s*(\p{L}{3,})",
    regex.IGNORECASE,
)
SUBJECT = regex.compile(
    r"\b(?:what(?:'s|\s+is|\s+was|\s+are|\s+were|\s+will\s+be|\s+would\s+be)|find|calculate|compute|determine|"
    r"wie\s+\p{L}+\s+(?:ist|war|sind)|was\s+ist|quel(?:le)?\s+est|cuál\s+es|qual\s+è|qual\s+é)\s+"
    r"(?:the|its|his|her|their|a|an|der|die|das|seine?|ihre?|le|la|l'|el|su|il|o)?\s*((?:\p{L}+\s+){0,3}?\p{L}+)"
    r"(?=\s+(?:of|in|for|between|when|after|that|per|if|at|on|to|he|she|it|they|des|der|de|du|del|in|do|da)\b|\s*[?.,])",
    FLAGS,
)
"""What a question asks about: `average speed` of `What is its average speed in km/h?`"""
STEM = 4
"""Letters by which a noun is known again: `pupils` and `pupil`."""
SPELLINGS = {
    "m": "m meter meters metre metres mètre mètres metro metros метров",
    "km": "km kilometer kilometers kilometre kilometres kilomètres kilómetros километров",
    "cm": "cm centimeter centimeters centimetre centimetres zentimeter",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "ft": "ft foot feet fuß pieds pies",
    "in": "inch inches",
    "mi": "mi mile miles meilen",
    "yd": "yd yard yards",
    "kg": "kg kilo kilos kilogram kilograms kilogramm",
    "g": "g gram grams gramm",
    "lb": "lb lbs pound pounds",
    "oz": "oz ounce ounces",
    "l": "l liter liters litre litres",
    "ml": "ml milliliter milliliters millilitre millilitres",
    "gal": "gal gallon gallons",
    "h": "h hr hrs hour hours stunde stunden heure heures hora horas ora ore час часа часов",
    "min": "min mins minute minutes minuten minutos minuti минут минуты",
    "s": "s sec secs second seconds sekunde sekunden seconde secondes segundo segundos секунд",
    "d": "day days tag tage tagen jour jours día días giorno giorni день дня дней",
    "w": "week weeks woche wochen semaine semaines semana semanas недель недели",
    "mo": "month months monat monate monaten mois mes meses месяц месяца месяцев",
    "y": "year years jahr jahre jahren an ans año años anno anni год года лет",
    "c": "°c celsius",
    "f": "°f fahrenheit",
    "km/h": "km/h kph",
    "mi/h": "mph mi/h",
    "m/s": "m/s",
    "$": "dollar dollars",
    "cent": "cent cents",
}
"""Units of measurement, each with its spellings."""
UNITS = {word.casefold(): unit for unit, words in SPELLINGS.items() for word in words.split()}
UNIT = regex.compile(r"[\s*_]?(?:degrees\s+)?(°?\p{L}+(?:/\p{L}+)?)")
QUESTION_UNIT = regex.compile(
    r"\b(?:in|to|into|how\s+many(?:\s+(?:more|other|extra|additional|fewer))?|wie\s*viele|combien\s+d(?:e\s+|['’])|cuánt[oa]s|quant[eio]s?|сколько|en|в)\s*(°?\p{L}+(?:/\p{L}+)?)(?!\p{L}|\s+(?:per|an|a|pro|par|por)\b)",
    FLAGS,
)


@lru_cache(maxsize=1024)
def question(prompt: str) -> str:
    """The last question of a prompt and what follows it; its last two sentences or lines where it has none."""
    sentences = regex.split(r"(?<=[.!?。？])\s+|\n", prompt.strip())
    last = next(
        (place for place in range(len(sentences) - 1, -1, -1) if regex.search("[?？]", sentences[place])), max(0, len(sentences) - 2)
    )
    return "\n".join(sentences[last:])


@lru_cache(maxsize=1024)
def asks_year(prompt: str) -> bool:
    return ASKS_YEAR.search(question(prompt)) is not None


@lru_cache(maxsize=1024)
def unit(prompt: str) -> str | None:
    """The one unit in which the question wants its answer."""
    units = {UNITS.get(word.casefold()) for word in QUESTION_UNIT.findall(question(prompt))} - {None}
    return units.pop() if len(units) == 1 else None


@lru_cache(maxsize=1024)
def nouns(prompt: str) -> frozenset[str]:
    """The stems of what the question asks to count."""
    return frozenset(match[1].casefold()[:STEM] for match in QUESTION_NOUN.finditer(question(prompt)))


@lru_cache(maxsize=1024)
def subject(prompt: str) -> str | None:
    """What the question asks about, in lower case: `average speed`."""
    word = SUBJECT.search(question(prompt))
    return " ".join(str(word[1]).casefold().split()) if word else None


def unit_of(text: str, run: "re.Match[str]") -> str | None:
    """The unit of a number of a text; None without one that is known."""
    if "$" in run[0]:
        return "$"
    word = UNIT.match(text, run.end())
    return UNITS.get(word[1].casefold()) if word else None
