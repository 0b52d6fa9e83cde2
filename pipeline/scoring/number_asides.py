"""Finds the numbers of a line that are beside its point: remarks, denials, dates, marks of steps. `72 in all, not 71 (24 + 48)` says 72."""

from collections.abc import Callable
from itertools import islice

import regex

from pipeline.metrics import numbers
from pipeline.metrics.struck import in_blanks
from pipeline.scoring.number_question import ASKS_CLOCK, ASKS_DIFFERENCE, ASKS_RATE, ASKS_SHARE, ASKS_TIME, UNITS, asks_year, question
from pipeline.scoring.number_question import unit as unit_of_question

STEP = regex.compile(
    r"^([\s*_#>-]*(?:step|schritt|étape|etape|paso|passo|шаг|stap)\s*)\d{1,2}(?=\s*[*_]*\s*[.:：)–—-])", regex.IGNORECASE | regex.MULTILINE
)
LIST_NUMBER = regex.compile(r"^([\s>*_]*)(\d{1,2})(?=[.)][ \t]+\S)", regex.MULTILINE)
DENIED = regex.compile(
    r"(?:\bnot|n't|\brather\s+than|\binstead\s+of|\bas\s+opposed\s+to|\b(?:down|up)\s+from|\bcompared\s+(?:to|with)|\bversus|\bvs\.?|"
    r"\b(?:nicht|statt|pas|не|niet|anstatt)|\bau\s+lieu\s+de|\ben\s+lugar\s+de)\s+(?:[$€£]|\\\$)?$",
    regex.IGNORECASE,
)
"""Stands before a number that is none of what is meant."""
REMARK = regex.compile(
    r"\((?!\s*(?:=|giving|leaving|so\b|making))(?:[^()\n]*\)(?=[\s.!*_`]*$)|(?<=[\p{L}\d%²³*_]\s?\()(?=[^()\n]*\p{L})[^()\n]*\)(?!\s*[-+*/×÷=^\d(]))"
)
"""A remark in brackets, in words or at the end of a line; `(= 72)` is a result."""
COMPARISON = regex.compile(
    r",\s+(?:which|that)\s+(?:is|was|are|were)\b[^.;\n]*"
    r"(?:\b(?:more|less|fewer|greater|higher|lower|larger|smaller|half|twice|double|times)\b|%\s+of\b)"
    r"(?:[^.;\n]|\.(?=\d))*\.?\s*$",
    regex.IGNORECASE,
)
GROUNDS = regex.compile(
    r"(?<!\b(?:and|but|or|so),?)\s+(?:because|since|weil|denn|parce\s+que|porque|потому\s+что)\s(?:[^,;.!?\n]|\.(?=\d))*[.!?]?[\s*_]*$",
    regex.IGNORECASE,
)
"""Grounds that end a line; those that a comma ends lead to what follows."""
MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|"
    r"januar|februar|märz|mai|juni|juli|oktober|dezember)"
)
DATE = regex.compile(
    rf"\b(?:\d{{1,2}}(?:st|nd|rd|th|\.)?\s+)?{MONTH}\b\.?\s+(?:\d{{1,2}}(?:st|nd|rd|th)?,?\s+)?(?:1[5-9]|20)\d\d\b", regex.IGNORECASE
)
YEAR = regex.compile(
    r"(?:\b(?:in|since|during|until|by|as\s+of|im\s+jahr|seit|bis|en|depuis|desde|nel|dal|em|в|с|w|od|sedan)\s+(?:1[5-9]|20)\d\d(?:\s+(?:году|года|roku))?"
    r"|\bQ[1-4]\s+20\d\d)\b(?=\s*(?:[.,;:!)]|$)|\s+(?:and|but|while|by|with|to|there|it|he|she|they|was|were|is|are|had|has|und|von|mit|hat|hatte|"
    r"waren|wurde|et|par|avec|por|con|y|e|da|и|с)\b)|(?:1[5-9]|20)\d\d\s?(?:年(?!前|间|間)|년)",
    regex.IGNORECASE,
)
"""A year that says when something else was so."""
TIME = regex.compile(
    r"(?:\b(?:at|by|around|until|from|um|gegen|à|a\s+las|alle|às|в)\s+)?\b\d{1,2}(?:[:.]\d\d)?\s?"
    r"(?:[ap]\.?\s?m\b\.?|o'clock|noon\b|midnight\b|uhr\b|heures?\s+(?:du|de\s+l')|часов\s+(?:утра|вечера))",
    regex.IGNORECASE,
)
"""A time of day, where the prompt asks for none."""
SHARE = regex.compile(
    r"%|\b(?:percent\w*|prozent\w*|pour\s?cent\w*|share|rate|fraction|proportion|probability|chance)\b|百分|процент", regex.IGNORECASE
)
SHARE = regex.compile(
    r"\b(?:up|down|(?:rose|fell|grew)(?:\s+by)?|(?:an?\s+)?(?:increase|decrease|growth)\s+of)?\s*[-+]?\d[\d.,]*\s?"
    r"(?:%|percent\b|prozent\b)",
    regex.IGNORECASE,
)
"""A share, where the prompt asks for none."""
PART = regex.compile(
    r"[,;(–—]\s+(?:of\s+(?:which|whom|them)|including|davon|darunter|dont|de\s+(?:los|las)\s+cuales|di\s+cui|dos\s+quais|das\s+quais|из\s+них|waarvan|z\s+czego|其中)\b[^.;\n]*$"
    r"|[,，]\s*其中[^。；\n]*$",
    regex.IGNORECASE,
)
"""What a number contains: `450, of which 200 in Berlin`."""
DIFFERENCE = regex.compile(
    r",\s+(?:an?\s+\p{L}+\s+of\s+)?[$€£]?\d[\d.,]*\s?(?:\p{L}+\s+){0,2}(?:more|less|fewer|older|younger|higher|lower|longer|shorter|cheaper|off)\b[^.;\n]*\.?\s*$",
    regex.IGNORECASE,
)
"""By how much something differs, behind its number: `450 g, 150 g more than for 4 people`."""
RATE = regex.compile(
    r"[$€£]?\d[\d.,]*\s?(?:[$€£%]|\p{L}+\.?)?(?:\s+\p{L}+)?\s*"
    r"(?:(?:\b(?:per|pro|je|par|por|each|every)\s|/\s?)(?:1\s)?\p{L}+|\ban?\s+(?:hour|day|week|month|year|piece)\b|\bapiece\b|"
    r"\bde\s+l'heure\b|\ba\s+la\s+hora\b|\bв\s+(?:час|день)\b)",
    regex.IGNORECASE,
)
"""How much of something goes with one of something else, where the prompt asks for no rate: `288 dollars, so 36 per hour`."""
DURATION = regex.compile(
    r"\b(?:within|in|after|before|for|over|during|every|innerhalb\s+von|binnen|nach|vor|seit|dans|après|pendant|avant|en|durante|después\s+de|tra|"
    r"dopo|за|через|после)\s+(?:the\s+)?(?:next\s+|last\s+|past\s+|only\s+|just\s+)?\d[\d.,]*[\s-](?:business\s+|working\s+|full\s+)?"
    r"(?:minutes?|hours?|days?|weeks?|months?|years?|minuten|stunden?|tagen?|wochen?|monaten?|jahren?|heures?|jours?|semaines?|mois|ans|horas?|"
    r"días?|semanas?|meses|años|ore|giorni|минут\w*|час\w*|дней|дня)\b",
    regex.IGNORECASE,
)
"""How long something takes, where the prompt does not ask for that."""
GLOSS = regex.compile(
    r"\d[\d.,]*\s?(°?\p{L}+(?:/\p{L}+)?)(?:\s\p{L}+)?\s(\((?:about\s|ca\.\s|≈\s?|~)?-?\d[\d.,]*\s?(°?\p{L}+(?:/\p{L}+)?)\))"
)
MORE_THAN = regex.compile(
    r"(?:,\s+(?:so|and)\s+(?:it|this|that)\s+is\s+)?[$€£]?\d[\d.,]*\s?(?:\p{L}+\s+){0,2}"
    r"(?:more|less|fewer|older|younger|higher|lower|taller|longer|shorter|cheaper|larger|smaller|bigger)\s+than\b"
    r"(?:\s+(?:\p{L}+\s+){0,2}[$€£]?\d[\d.,]*)?"
    r"|\b(?:an?\s+)?(?:increase|decrease|rise|drop|growth|gain|loss|difference|saving|reduction|decline)\s+of\s+[$€£]?\d[\d.,]*",
    regex.IGNORECASE,
)
"""By how much something differs from something else, where the prompt asks for no difference."""
OVER = regex.compile(
    r"(?<=\d[\d.,]*(?:\s+\p{L}+){1,3})\s+(?:in|for|per|over|across|within|after)\s+(?:the\s+|all\s+)?\d[\d.,]*(?:\s+\p{L}+){1,2}[\s.!]*$"
)
"""What a result is spread over, as in `= 72 clips in 2 months`."""
SUM = regex.compile(r"\d\s*[-+*/×÷]\s*[$€£]?\d[^=\n]{0,80}=")
MAX_BEFORE = 40
"""Characters before a number in which its denial is looked for."""
MAX_LINE = 2000
"""Characters of a line that is still searched for asides: a model may repeat itself for ever."""
Blanking = Callable[[str], str]


def without_marks(part: str) -> str:
    """The text in which blanks stand for the numbers of steps and of a list that counts from 1."""
    bare = STEP.sub(lambda match: match[1] + " " * (len(match[0]) - len(match[1])), part)
    counts = [int(match[2]) for match in LIST_NUMBER.finditer(bare)]
    if len(counts) > 1 and counts == [*range(1, len(counts) + 1)]:
        bare = LIST_NUMBER.sub(lambda match: match[1] + " " * len(match[2]), bare)
    return bare if next(numbers.runs(bare), None) else part


def without_denied(line: str) -> str:
    """The line in which blanks stand for the numbers that it denies or compares its own with, as in `72, not 71` and `15, down from 20`."""
    for match in numbers.runs(line):
        if DENIED.search(line[max(0, match.start() - MAX_BEFORE) : match.start()]):
            line = line[: match.start()] + " " * len(match[0]) + line[match.end() :]
    return line


def year_alone(date: "regex.Match[str]") -> str:
    """A date without its day."""
    return " " * (len(date[0]) - 4) + str(date[0][-4:])


def without_other_rates(text: str, last_question: str) -> str:
    """The text without rates whose last word, as `hour` in `36 per hour`, the question does not name."""
    names = last_question.casefold()
    return str(RATE.sub(lambda match: match[0] if regex.split(r"[\s/']", match[0])[-1].casefold() in names else in_blanks(match), text))


def is_date_alone(sentence: str, prompt: str) -> bool:
    """Whether all numbers of a sentence are those of dates or times, and the prompt asks for none."""
    if asks_year(prompt):
        return False
    bare = YEAR.sub(in_blanks, DATE.sub(in_blanks, sentence))
    bare = bare if ASKS_CLOCK.search(question(prompt)) else TIME.sub(in_blanks, bare)
    return next(numbers.runs(bare), None) is None


def without_other_units(text: str, prompt: str) -> str:
    """The text without what repeats an amount in another unit in brackets, unless the prompt asks for that unit."""
    glosses = [
        match
        for match in GLOSS.finditer(text)
        if len({unit(match[1]), unit(match[3]), ""}) == 3 and unit(match[3]) != unit_of_question(prompt)
    ]
    for match in glosses:
        text = text[: match.start(2)] + " " * len(match[2]) + text[match.end(2) :]
    return text


def unit(word: str) -> str:
    return UNITS.get(word.casefold(), "")


def has_several(line: str) -> bool:
    """Whether a line has two numbers or more."""
    return len(list(islice(numbers.runs(line), 2))) > 1


def without_asides(line: str, prompt: str, of_prompt: set[str | None], mark: numbers.Mark | None) -> str:
    """The line in which blanks stand for remarks that hold numbers, where a number of its own stands outside of them.

    Args:
        prompt: the question; a date is beside its point unless it asks for one.
        of_prompt: values of the numbers in the prompt; one of them alone is no answer, so what stands in the remark may be.
    """
    last_question = question(prompt)
    remarks: tuple[Blanking, ...] = (
        lambda text: str(REMARK.sub(in_blanks, text)),
        lambda text: str(COMPARISON.sub(in_blanks, text)),
        lambda text: str(GROUNDS.sub(in_blanks, text)),
        lambda text: str(OVER.sub(in_blanks, text)) if SUM.search(text) else text,
        lambda text: text if "=" in text or ASKS_RATE.search(last_question) else without_other_rates(text, last_question),
    )
    details: tuple[Blanking, ...] = (
        lambda text: text if asks_year(prompt) else str(YEAR.sub(in_blanks, DATE.sub(in_blanks, text))),
        lambda text: str(DATE.sub(year_alone, text)),
        lambda text: text if ASKS_CLOCK.search(last_question) else str(TIME.sub(in_blanks, text)),
        lambda text: text if "=" in text or ASKS_TIME.search(last_question) else str(DURATION.sub(in_blanks, text)),
        lambda text: without_other_units(text, prompt),
        lambda text: text if ASKS_SHARE.search(last_question) else str(SHARE.sub(in_blanks, text)),
        lambda text: str(PART.sub(in_blanks, text)),
        lambda text: text if "=" in text or ASKS_DIFFERENCE.search(last_question) else str(MORE_THAN.sub(in_blanks, text)),
        lambda text: text if ASKS_DIFFERENCE.search(last_question) else str(DIFFERENCE.sub(in_blanks, text)),
    )
    for blanking in (*remarks, *details) if len(line) <= MAX_LINE and has_several(line) else ():
        bare = blanking(line)
        least = of_prompt if blanking in remarks else set()
        if bare != line and any(numbers.value_of(match, mark) not in least for match in numbers.runs(bare)):
            line = bare
    return line
