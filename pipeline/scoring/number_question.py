"""What a prompt asks for: a year, a share, a rate, a duration, a unit, a noun. Of several numbers the one that answers it counts."""

import re
from functools import lru_cache

import regex

FLAGS = regex.IGNORECASE | regex.VERSION1
YEARS = regex.compile(r"(?<![\d.,$€£-])(?:1[5-9]|20)\d\d(?![\d.,-]*\d)")
IN_YEAR = regex.compile(rf"(?<=\b(?:in|during|by|jahr|en|em|nel|w|в)\s+){YEARS.pattern}|{YEARS.pattern}(?=\s?[年년])", FLAGS)
ASKS_YEAR = regex.compile(
    r"(?:^|[.?!:。？]\s*)(?:and\s+)?when\s+(?:was|were|did|is|are)\b|\b(?:what|which|founding|birth|release)\s+year\b|\byear\s*:|\bwann\b|\bwelche[mns]\s+jahr|"
    r"\bquand\b|\bquelle\s+année|\bcuándo\b|\bqué\s+año|\bquando\b|\b(?:che|quale|que)\s+an[no]o?\b|\bкогда\b|\bкаком\s+году|哪一?年|何年|いつ|언제|몇\s?년|"
    r"متى|\bkiedy\b|ne\s+zaman|\bwanneer\b",
    regex.IGNORECASE | regex.MULTILINE,
)
ASKS_SHARE = regex.compile(
    r"%|\b(?:percent\w*|prozent\w*|pour\s?cent\w*|share|rate|fraction|proportion|probability|chance)\b|百分|процент", regex.IGNORECASE
)
ASKS_DIFFERENCE = regex.compile(
    r"\b(?:more|less|fewer|older|younger|higher|lower|longer|shorter|cheaper|taller|difference|than|save|discount|increas\w+|"
    r"decreas\w+|rise|rose|drop\w*|grow\w*|grew|chang\w+|declin\w+|reduc\w+|fall|fell)\b",
    regex.IGNORECASE,
)
ASKS_RATE = regex.compile(
    r"/|\b(?:each|every|rate|speed|fast|average|hourly|daily|weekly|monthly|yearly|annual\w*|jede[rsn]?|durchschnitt\w*|chaque|cada|"
    r"vitesse|velocidad|скорость|на\s+каждого)\b",
    FLAGS,
)
ASKS_TIME = regex.compile(
    r"\b(?:how\s+(?:long|soon|old|often|fast)|when|times?|duration|minutes?|hours?|days?|weeks?|months?|years?|age|wie\s+(?:lange|alt)|dauer\w*|"
    r"zeit|stunden?|minuten|tagen?|wochen|monaten?|jahren?|temps|durée|heures?|jours?|semaines?|mois|tiempo|horas?|días?|semanas?|meses|"
    r"tempo|ore|giorni|сколько\s+времени|час\w*|дн\w*|минут\w*)\b|[时時]间|時間|多久|小时|分钟|天",
    FLAGS,
)
ASKS_CLOCK = regex.compile(
    r"\b(?:when|what\s+time|o'clock|wann|uhr\w*|quelle\s+heure|quand|qué\s+hora|cuándo|che\s+ora|quando|que\s+horas|когда|котор\w+\s+час\w*)\b"
    r"|几点|何時|時刻",
    FLAGS,
)
MONEY = regex.compile(
    r"[\s*_]*(?:euros?|dollars?|cents?|yen|yuan|rupees?|rupien|reais|pesos?|francs?|рубл\w+|евро|[€$£¥₹₽₩₺元円])(?!\p{L})", FLAGS
)
ASKS_MONEY = regex.compile(
    r"\bhow\s+much\s+(?:(?:more\s+)?money|(?:does|did|do|will|is|are|was|would|has|have|should|must|can)\b[^?]*"
    r"\b(?:earn\w*|costs?|pay|paid|spen[dt]\w*|owed?|charged?|worth|sav(?:e|ed)|make|made))\b|"
    r"\bwie\s?viel\s+(?:euro|geld|kost\w+|verdien\w+|zahl\w+|bezahl\w+|muss|spart)\b|"
    r"\bcombien\s+(?:(?:d'argent|d'euros)|(?:gagn|coût|pai|pay|dépens)\w*)|\bcuánto\s+(?:dinero|gana\w*|cuesta\w*|paga\w*|gasta\w*)|"
    r"\bquanto\s+(?:guadagna|costa|paga|spende|ganha|custa|gasta)\w*|сколько\s+(?:денег|зарабатыва\w+|стоит|заплати\w+)|多少钱|いくら",
    FLAGS,
)
NOUN = regex.compile(r"[\s*_]*(\p{L}{3,})")
QUESTION_NOUN = regex.compile(
    r"\b(?:how\s+many(?:\s+(?:more|other|extra|additional|fewer))?|number\s+of|wie\s*viele|anzahl\s+der|combien\s+d(?:e\s+|['’])|cuánt[oa]s|quant[ie]|quant[oa]s|hoeveel|сколько|ile|hur\s+många)\s*(\p{L}{3,})",
    regex.IGNORECASE,
)
SUBJECT = regex.compile(
    r"\b(?:what(?:'s|\s+is|\s+was|\s+are|\s+were|\s+will\s+be|\s+would\s+be)|find|calculate|compute|determine|"
    r"wie\s+\p{L}+\s+(?:ist|war|sind)|was\s+ist|quel(?:le)?\s+est|cuál\s+es|qual\s+è|qual\s+é)\s+"
    r"(?:the|its|his|her|their|a|an|der|die|das|seine?|ihre?|le|la|l'|son|sa|el|su|il|o)?\s*((?:\p{L}+\s+){0,3}?\p{L}+)"
    r"(?=\s+(?:of|in|for|between|when|after|that|per|if|at|on|to|he|she|it|they|des|der|de|du|del|in|do|da)\b|\s*[?.,])",
    FLAGS,
)
"""What a question asks about: `average speed` of `What is its average speed in km/h?`"""
STEM = 5
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
}
"""Units of measurement, each with its spellings."""
UNITS = {word.casefold(): unit for unit, words in SPELLINGS.items() for word in words.split()}
UNIT = regex.compile(r"[\s*_]?(?:degrees\s+)?(°?\p{L}+(?:/\p{L}+)?)")
QUESTION_UNIT = regex.compile(
    r"\b(?:in|to|into|how\s+many(?:\s+(?:more|other|extra|additional|fewer))?|wie\s*viele|combien\s+d(?:e\s+|['’])|cuánt[oa]s|quant[eio]s?|сколько|en|в)\s*(°?\p{L}+(?:/\p{L}+)?)",
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
def year(prompt: str) -> str | None:
    """The one year that the question is about: `How many were there in 2021?`"""
    years = set(IN_YEAR.findall(question(prompt)))
    return years.pop() if len(years) == 1 else None


@lru_cache(maxsize=1024)
def unit(prompt: str) -> str | None:
    """The one unit in which the question wants its answer."""
    if ASKS_MONEY.search(question(prompt)):
        return "money"
    units = {UNITS.get(word.casefold()) for word in QUESTION_UNIT.findall(question(prompt))} - {None}
    return units.pop() if len(units) == 1 else None


@lru_cache(maxsize=1024)
def nouns(prompt: str) -> frozenset[str]:
    """The stems of what the prompt asks to count."""
    return frozenset(match[1].casefold()[:STEM] for match in QUESTION_NOUN.finditer(prompt))


@lru_cache(maxsize=1024)
def subject(prompt: str) -> str | None:
    """The noun of what the question asks about, in lower case; its last word alone."""
    word = SUBJECT.search(question(prompt))
    return str(word[1]).split()[-1].casefold() if word else None


def unit_of(text: str, match: "re.Match[str]") -> str:
    """The unit of a number in a text; a word behind it that is none, and nothing without a word."""
    if any(character in "$€£¥₹₽₩₺" for character in match[0]) or MONEY.match(text, match.end()):
        return "money"
    word = UNIT.match(text, match.end())
    return UNITS.get(word[1].casefold(), word[1].casefold()) if word else ""


def unit_behind(text: str, end: int) -> str | None:
    """The unit of measurement that stands at a place of a text, behind a number."""
    word = UNIT.match(text, end)
    return UNITS.get(word[1].casefold()) if word else None
