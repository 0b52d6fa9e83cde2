"""The grounds on which a number of a text counts as its answer. Each gives that number, or None where the text does not have it."""

import re
from itertools import pairwise

import regex

from pipeline.metrics import numbers
from pipeline.scoring import negation, number_question
from pipeline.scoring.number_equations import BETWEEN, EQUALS
from pipeline.scoring.number_sentences import FLAGS, Sentence, Value, only

MARKUP = r"[\s*_`>\"'“”„«(\[•·▪◦–—:：=-]*"
OPENING = regex.compile(
    rf"{MARKUP}(?:\d{{1,2}}[.)]\s+)?(?:(?:it|that|this)(?:'s|\s+is)\s+|about\s+|approximately\s+|around\s+|roughly\s+)?{MARKUP}",
    FLAGS,
)
"""What may stand before a number that is otherwise alone."""
UNIT_WORDS = 2
"""Words that may stand behind it."""
NO_UNIT = frozenset("in on at of for per and or to from than more less fewer times a an each if but so was were is are".split())
LABELLED = regex.compile(r"^[\s*_•·-]*\p{L}[\p{L} '’/-]{0,40}[*_]*\s*[:：=]")
REMARK = regex.compile(
    r"[^\d\n()=]{0,30}(?:\((?!\W*(?:about\s|ca\.\s|or\s|i\.e\.\s)?\W*\d[\d.,]*\s?\S{0,12}\))[^()\n]*\)[\s.!*_]*\Z|"
    r"[,;]?\s*\b(?:because|since)\b[^.!?\n]*[.!?]?\s*\Z)"
)
"""How a number came about, up to the end of a text that begins with it: `12 apples (3 boxes of 4)`."""
CHAIN = 3
"""Sentences with numbers that are a chain of thought, and the least words of its last one."""
BOLD = regex.compile(r"(\*\*|__)(?=\S)([^*\n]{1,40}?)\1")
THAN = regex.compile(
    r"\b(?:\p{L}{2,}er|more|less|mehr|weniger|plus|moins|más|menos)\s+(?:than|als|de|que)\s+$|\b(?:больше|меньше)(?:\s+чем)?\s+$", FLAGS
)
PART = regex.compile(
    r"\b(?:(?:half|third|quarter|twice|double|triple|thrice|hälfte|moitié|mitad|половин\w+)(?:\s+(?:of|as\s+(?:many|much)\s+as|von|de))?|"
    r"(?:\bout\s+)?of\s+(?:the|these|those|his|her|their|its|all|all\s+the)|out\s+of)\s*$",
    FLAGS,
)
"""Before a number of which only a part, or a multiple, is meant."""
MORE_THAN = regex.compile(r"\s*(?:\p{L}+\s+){0,2}(?:more|less|fewer|\p{L}{2,}er)\s+(?:\p{L}+\s+){0,2}than\b", FLAGS)
ASKS_DIFFERENCE = regex.compile(r"\b(?:more|less|fewer|difference|how\s+(?:much\s+|many\s+)?\p{L}{2,}er)\b", FLAGS)
COULD = regex.compile(r"\b(?:could|might|may|if|könnten?|wenn|pourrai\w*|podría\w*|potrebbe\w*|мог\w*\s+бы|если)\b", FLAGS)
SO = regex.compile(
    r"(?:(?:^|[,;:.–—،]\s*|\b(?:and|und|et|y|e|и)\s+)[\s*_]*(?:so(?!\s+(?:far|much|many|that|long|few|often)\b)|thus|therefore|hence|consequently|"
    r"which\s+(?:makes|gives|leaves|means)|"
    r"also(?=\s+\p{L}+(?:t|en)\s)|somit|daher|folglich|donc|así\s+que|por\s+(?:lo\s+)?tanto|quindi|pertanto|portanto|logo|então|dus|"
    r"значит|поэтому|следовательно|итак|więc|zatem|yani|alltså|vậy|άρα|επομένως|إذن|لذلك|इसलिए|अतः)\b)"
    r"|\bgagne\s+donc\b|所以|因此|したがって|よって|ので|따라서|그러므로|ดังนั้น|∴|⇒|=>",
    FLAGS,
)
"""Draws the conclusion of what stands before it."""
BEFORE_YEAR = regex.compile(
    r"\b(?:before|after|since|until|till|by|from|to|vor|nach|seit|bis|avant|après|depuis|antes|después|desde|до|после)\s+$", FLAGS
)
COPULA = (
    r"(?:\s*[*_]*\s*(?:\b(?:is|was|are|were|would\s+be|will\s+be|equals|ist|war|est|es|è)\b|=|:)[\s*_]*"
    r"(?:(?:about|approximately|around|also|then|therefore|thus|only)\s+)?)"
)
IS = regex.compile(rf"{COPULA}[\s$€£(\\]*$", FLAGS)
APART = regex.compile(
    r"(?:\s?[\p{L}°%²³]+\.?){0,3}[*_)`]*\s*(?:$|[.;](?!\d)|,\s+(?!i\.?e|or\b|which\b)\p{L}|\b(?:and|while|whereas|but|not|because|since|as)\b)",
    FLAGS,
)
"""What may follow a number that says what the question asks about."""
GENERIC = frozenset("number amount total sum answer value result".split())
"""Nouns that say nothing of what is asked."""
TOTAL = regex.compile(
    r"\b(?:total|altogether|all\s+together|in\s+all|combined|overall|insgesamt|zusammen|au\s+total|en\s+tout|en\s+total|in\s+totale|ao\s+todo|всего)\b|一共|总共|總共|合計|全部で|모두|총",
    FLAGS,
)
LISTED = regex.compile(r"[\s*_]*\p{L}+[*_]*(?:,\s*(?:and\s+)?|\s+(?:and|und|et|y|e|и)\s+)[*_]*", FLAGS)
"""Between two numbers of a list of things with their numbers."""
FILLERS = frozenset(
    "the and for how many much what does did will would are is was were has have had that this with from there his her their she they them "
    "each then than into all its per can who which when where after before over total altogether only just about also now so therefore "
    "thus".split()
)
"""Words by which no sentence is known again."""
NUMBER_WORDS = {
    word: value
    for value, word in enumerate(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen twenty".split(),
        2,
    )
} | {word: value for value, word in zip(range(30, 100, 10), "thirty forty fifty sixty seventy eighty ninety".split(), strict=True)}
NUMBER_WORD = regex.compile(
    rf"(?<!\b(?:the|these|those|all|its|her|his|their)\s+)\b({'|'.join(NUMBER_WORDS)})(?:-(\p{{L}}+))?\b|\b(one)\s+of\b", FLAGS
)


def single(sentences: list[Sentence], part: str, prompt: str) -> Value:
    """The only value of a text."""
    values = {value for sentence in sentences for value in sentence.values}
    value = only(values)
    if value is None or any(is_doubtful(sentence.text, run, prompt) for sentence in sentences for run in sentence.runs):
        return None
    return value if spelled_values(part) <= {value} else None


def spelled_values(part: str) -> set[str]:
    """The values of the English number words of a text."""
    values: set[str] = set()
    for match in NUMBER_WORD.finditer(part):
        digit = 1 if match[2] and match[2].casefold() == "one" else NUMBER_WORDS.get((match[2] or "").casefold(), 0)
        values.add(str(NUMBER_WORDS[match[1].casefold()] + digit) if match[1] else "1")
    return values


def opening(part: str, first: str, of_prompt: set[Value], mark: numbers.Mark | None) -> Value:
    """The number that the first line or sentence consists of, where what follows is about it.

    Args:
        first: the first line without the cue of the prompt.
        of_prompt: the numbers of the prompt.
    """
    place = part.find(first) + len(first)
    opening, run = OPENING.match(first), next(numbers.runs(first), None)
    if run is None or opening is None or opening.end() < run.start():
        return None
    value = numbers.value_of(run, mark)
    if REMARK.match(first, run.end()) and not part[place:].strip():
        return value
    others = {numbers.value_of(other, mark) for other in numbers.runs(part[place:])} - {value}
    if is_alone(first):
        following = next((line for line in part[place:].splitlines() if next(numbers.runs(line), None)), "")
        is_apart = value not in of_prompt and regex.match(r"[^\S\n]*\n[^\S\n]*\n", part[place:])
        is_series = is_alone(following) or LABELLED.match(following)
        return value if not is_series and (is_apart or others <= of_prompt) else None
    sentence = regex.split(r"(?<=[.!])\s+", first, maxsplit=1)[0]
    others |= {numbers.value_of(other, mark) for other in numbers.runs(first[len(sentence) :])} - {value}
    return value if is_alone(sentence) and others <= of_prompt else None


def is_alone(line: str) -> bool:
    """Whether a line is nothing but a number and its unit."""
    opening, runs = OPENING.match(line), [*numbers.runs(line)]
    if opening is None or len(runs) != 1 or opening.end() < runs[0].start():
        return False
    words = regex.findall(r"\p{L}+", line[runs[0].end() :])
    return len(words) <= UNIT_WORDS and not (len(words) > 1 and NO_UNIT.intersection(word.casefold() for word in words)) and "=" not in line


def bare_start(sentences: list[Sentence], of_prompt: set[Value], prompt: str) -> Value:
    """The number that the first sentence consists of, where the prompt does not have it: `72 clips. She sold 48 in April and 24 in May.`"""
    first = sentences[0]
    value = only({*first.values})
    is_doubted = any(is_doubtful(first.text, run, prompt) for run in first.runs)
    return value if len(sentences) > 1 and value not in of_prompt and is_alone(first.text) and not is_doubted else None


def predicate(sentences: list[Sentence], of_prompt: set[Value]) -> Value:
    """The number behind the verb of an only sentence whose other numbers are the prompt's: `15% of 240 is 36.`"""
    if len(sentences) != 1 or not sentences[0].runs:
        return None
    (sentence,) = sentences
    *others, value = sentence.values
    before = sentence.text[: sentence.runs[-1].start()]
    is_last = APART.fullmatch(sentence.text, sentence.runs[-1].end()) and len(BETWEEN.split(sentence.text)) == 1
    return value if others and {*others} <= of_prompt and value not in of_prompt and IS.search(before) and is_last else None


def bold(part: str, mark: numbers.Mark | None) -> Value:
    """The only number that stands in bold with nothing but its unit."""
    spans = [match[2] for match in BOLD.finditer(part) if is_alone(match[2])]
    return only({numbers.read(span, mark) for span in spans})


def conclusion(sentences: list[Sentence], prompt: str) -> Value:
    """The only number behind the last word that draws a conclusion, in the last sentence with a number."""
    final = sentences[-1]
    place = max((match.end() for match in SO.finditer(final.text)), default=None)
    if place is None or "=" in final.text[place:] or COULD.search(final.text, place):
        return None
    behind = [(run, value) for run, value in zip(final.runs, final.values, strict=True) if run.start() >= place]
    if any(is_doubtful(final.text, run, prompt) for run, _ in behind):
        return None
    return only({value for _, value in behind})


def end_of_chain(sentences: list[Sentence], of_prompt: set[Value], prompt: str) -> Value:
    """The only number of the last sentence of a chain of thought, where it is new: no number of the prompt, so the chain worked it out.

    A list of numbers, with labels or without, is no chain.
    """
    final = sentences[-1]
    value = only({*final.values})
    is_listed = LABELLED.match(final.text) or len(regex.findall(r"\p{L}+", final.text)) < CHAIN
    if len(sentences) < CHAIN or is_listed or value in of_prompt or "=" in final.text or COULD.search(final.text):
        return None
    return None if any(is_doubtful(final.text, run, prompt) for run in final.runs) else value


def subject(sentences: list[Sentence], prompt: str) -> Value:
    """The number that the text says to be what the question asks about, as in `the median is 9`: in its last sentence, or in one of two."""
    noun = number_question.subject(prompt)
    if noun is None or noun.split()[-1] in GENERIC:
        return None
    name = regex.escape(noun).replace(r"\ ", r"\s+")
    before = regex.compile(rf"(?<!\p{{L}}){name}\b(?P<tail>(?:\s+(?:of|for|in)\s[^.,;:=\d]{{0,40}}?)?){COPULA}[\s*_$€£(\\]*$", FLAGS)
    behind = regex.compile(rf"[^.,;:=\d]{{0,20}}?\b(?:is|was)\s+(?:the|its|their|his|her)\s+{name}(?!\p{{L}})", FLAGS)
    values: set[Value] = set()
    for sentence in sentences if len(sentences) <= 2 else sentences[-1:]:
        for run, value in zip(sentence.runs, sentence.values, strict=True) if not EQUALS.search(sentence.text) else ():
            named = before.search(sentence.text[: run.start()])
            is_named = named and APART.match(sentence.text, run.end()) and stems(named["tail"]) <= stems(prompt)
            if is_named or behind.match(sentence.text, run.end()):
                values.add(value)
    return only(values)


def restated(sentences: list[Sentence], prompt: str) -> Value:
    """The only number of the last sentence, where it says nothing but what the question asks, and says more of it than any before it does.

    Or where the question asks for a total and the sentence gives one.
    """
    question, (*earlier, final) = number_question.question(prompt), sentences
    if COULD.search(final.text) or any(is_doubtful(final.text, run, prompt) for run in final.runs):
        return None
    of_question, of_final = stems(question), stems(final.text)
    is_closest = (
        len(of_final) > 1
        and of_final <= of_question
        and len(of_final) > max((len(stems(other.text) & of_question) for other in earlier), default=0)
    )
    return only({*final.values}) if is_closest or (TOTAL.search(question) and TOTAL.search(final.text)) else None


def stems(text: str) -> set[str]:
    """The words of a text without those of every text, each cut to its first letters."""
    words = {word.casefold() for word in regex.findall(r"\p{L}{3,}", text)}
    return {word[: number_question.STEM] for word in words - FILLERS}


def year(sentences: list[Sentence], prompt: str) -> Value:
    """The only year of a text, where the question asks for one."""
    if not number_question.asks_year(prompt):
        return None
    runs = [(sentence.text, run) for sentence in sentences for run in sentence.runs if number_question.YEAR.fullmatch(run[0])]
    return only({run[0] for _, run in runs}) if not any(is_doubtful(text, run, prompt) for text, run in runs) else None


def counted(sentences: list[Sentence], prompt: str) -> Value:
    """The number of what the prompt asks for, in a text of one sentence in which each number has a noun: `3 apples, 5 pears`."""
    nouns = number_question.nouns(prompt)
    if len(sentences) != 1 or not nouns:
        return None
    (sentence,) = sentences
    if any(is_doubtful(sentence.text, run, prompt) for run in sentence.runs):
        return None
    named = [regex.match(r"[\s*_]*(\p{L}{3,})", sentence.text[run.end() :]) for run in sentence.runs]
    words = [noun[1].casefold() if noun else "" for noun in named]
    stems = ["" if word in number_question.UNITS else word[: number_question.STEM] for word in words]
    gaps = [sentence.text[one.end() : other.start()] for one, other in pairwise(sentence.runs)]
    if len(gaps) < 1 or "" in stems or len({*stems}) < len(stems) or not all(map(LISTED.fullmatch, gaps)):
        return None
    return only({value for stem, value in zip(stems, sentence.values, strict=True) if stem in nouns})


def has_unit(value: str, sentences: list[Sentence], prompt: str) -> bool:
    """Whether a text gives a number without a unit or in the one that the question wants, if it wants one."""
    wanted = number_question.unit(prompt)
    units = {
        number_question.unit_of(sentence.text, run)
        for sentence in sentences
        for run, other in zip(sentence.runs, sentence.values, strict=True)
        if other == value
    }
    return wanted is None or not units or wanted in units or None in units


def is_doubtful(text: str, run: re.Match[str], prompt: str) -> bool:
    """Whether a text denies a number, or names only what is larger, smaller, earlier, later, a part or a multiple of it."""
    before = text[max(0, run.start() - 90) : run.start()]
    clause = negation.CLAUSE_END.split(before)[-1]
    if (
        before.rstrip().endswith("±")
        or negation.NEGATION.search(before)
        or negation.DISTANT.search(clause)
        or THAN.search(before)
        or PART.search(before)
    ):
        return True
    if number_question.asks_year(prompt) and BEFORE_YEAR.search(before):
        return True
    return bool(MORE_THAN.match(text, run.end()) and not ASKS_DIFFERENCE.search(number_question.question(prompt)))
