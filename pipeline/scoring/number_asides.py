"""Finds the numbers of a line that are beside its point: remarks, denials, dates, marks of steps. `72 in all, not 71 (24 + 48)` says 72."""

from collections.abc import Callable

import regex

from pipeline.metrics import numbers
from pipeline.scoring.replacements import in_blanks

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
REMARK = regex.compile(r"\((?!\s*=)[^()\n]*\)(?=[\s.!*_`]*$)")
"""A remark in brackets at the end of a line; `(= 72)` is a result."""
COMPARISON = regex.compile(
    r",\s+(?:which|that)\s+(?:is|was|are|were)\b[^.;\n]*\b(?:more|less|fewer|greater|higher|lower|larger|smaller|half|twice|double|times)\b(?:[^.;\n]|\.(?=\d))*\.?\s*$",
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
    r"\b(?:in|since|during|until|im\s+jahr|en|в)\s+(?:1[5-9]|20)\d\d\b(?=\s*(?:[.,;!)]|$)|\s+(?:and|but|while)\b)", regex.IGNORECASE
)
ASKS_WHEN = regex.compile(r"\b(?:when|years?|dates?|wann|jahr|quand|année|cuándo|año|когда|год\w*)\b", regex.IGNORECASE)
"""A question of which a date may be the answer."""
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


def without_asides(line: str, prompt: str, of_prompt: set[str | None], mark: numbers.Mark | None) -> str:
    """The line in which blanks stand for remarks that hold numbers, where a number of its own stands outside of them.

    Args:
        prompt: the question; a date is beside its point unless it asks for one.
        of_prompt: values of the numbers in the prompt; one of them alone is no answer, so what stands in the remark may be.
    """
    blankings: tuple[Blanking, ...] = (
        lambda text: str(REMARK.sub(in_blanks, text)),
        lambda text: str(COMPARISON.sub(in_blanks, text)),
        lambda text: str(GROUNDS.sub(in_blanks, text)),
        lambda text: text if ASKS_WHEN.search(prompt) else str(YEAR.sub(in_blanks, DATE.sub(in_blanks, text))),
        lambda text: str(OVER.sub(in_blanks, text)) if SUM.search(text) else text,
    )
    for blanking in blankings if len(line) <= MAX_LINE else ():
        bare = blanking(line)
        if bare != line and any(numbers.value_of(match, mark) not in of_prompt for match in numbers.runs(bare)):
            line = bare
    return line
