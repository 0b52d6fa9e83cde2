"""Texts that a user meets have one name per thing: the table says which name is wrong, and which is right."""

import re

import pytest

from tests import user_texts

INSTEAD = {
    r"(?<![Ff]ine-)(?<!fine-\n)\b[Tt]uned\b": "fine-tuned",
    r"\b[Tt]he fine-tune\b": "the fine-tuned model",
    r"\bworked examples?\b|\bexamples in (?:its|the|their) prompts?\b": "few-shot (k examples)",
    r"\bcop(?:y|ies) of (?:a |an )?(?:held|test|training|prompts?)\b": "duplicate",
    r"\b[Hh]eld[- ]out\b|\bheldout\b|\bexam\b": "test set, test examples",
    r"\b[Dd]ev\b": "validation",
    r"\b[Uu]nreadable\b|\b[Uu]nparsed\b|could not be read": "unparsable",
    r"\bcut off\b|\bcut there\b": "truncated",
    r"\b[Ee]ndless\b": "repetition loop",
    r"\b(?:answers|targets)[^.]* read as\b|\bread as:|\bread out\b|\bread otherwise\b|\bread alike\b": "parsed as",
    r"\b[Ii]nvent(?:s|ed)?\b": "hallucinated",
    r"\bown first\b|\babout the prompt\b": "prompt relevance, AUC",
    r"\bsmallest (?:visible|lift|effect)\b|\bfour times in five\b|\b4 (?:of|in) 5\b": "minimum detectable effect (80 % power)",
    r"\b[Cc]laim(?:s|ed)?\b|\bfamily\b": "confirmatory tests",
    r"\breckon": "estimated",
    r"\b[Ll]ineage\b": "provenance",
    r"\b[Ss]urroundings\b": "environment",
    r"\b[Aa]live\b|\b[Dd]ead\b|\b[Ll]iveness\b": "adapter sanity check: active, no effect",
    r"\bnats (?:a|per) token\b": "nats/token",
    r"\btokens (?:a|per) second\b|\bseconds a request\b|\bof the machine\b": "tok/s, s/request",
    r"\b[Cc]annot tell\b": "inconclusive",
    r"\b[Aa]lways one answer\b|\balways the same\b|\b(?:one|[Bb]est) constant answer\b|\blearned nothing\b": "constant-answer baseline",
    r"\bheld to its form\b|\bfixed form\b": "ranked choices, keys in prompt",
    r"\bkept elsewhere\b|\bnot trained for\b|\bworse elsewhere\b|\b[Ff]org(?:et|etting|ot|otten)\b": "other tasks, regression",
    r"\bto make\b|\bnever made\b": "to run",
    r"\b[Ll]ikelier\b|\bdear\b|\bso many\b|\basked for\b|\bas it is\b": "the field's word: more likely, expensive, requested",
}
"""A pattern of names that are not used, with the name that is."""
KIND = "a kind in report.json, which a table turns into a sentence"
ALLOWED = {
    ("pipeline/measures/advice.py", "tuned"): KIND,
    ("pipeline/measures/advice.py", "claimed"): KIND,
    ("pipeline/measures/report_types.py", "tuned"): KIND,
    ("pipeline/measures/report_types.py", "claimed"): KIND,
    ("pipeline/page/statement_texts.py", "tuned"): KIND,
    ("pipeline/page/statement_texts.py", "claimed"): KIND,
    ("pipeline/measures/cost.py", "examples in the prompt"): KIND,
    ("pipeline/page/cost_section.py", "examples in the prompt"): KIND,
    ("pipeline/data/data_checks.py", "read otherwise"): "names a check in the facts of `prepare`",
    ("pipeline/data/data_checks.py", "read alike"): "names a check in the facts of `prepare`",
    ("pipeline/stages/prepare.py", "dev"): "a reason in dropped.json, whose bytes enter keys",
    ("docs/recipes.md", "of the machine"): "a price, no unit of time",
}
"""(place without line, words): why they are right there."""


def file_of(place):
    return place.partition(":")[0]


def faults(texts):
    """A line for each wrong name: where it stands, what is right, and the words around it."""
    for place, text in texts:
        for pattern, right in INSTEAD.items():
            for match in re.finditer(pattern, text):
                if (file_of(place), match[0]) not in ALLOWED:
                    yield f"{place}: '{match[0]}', write {right}: {text.strip()[max(0, match.start() - 60) : match.end() + 60]}"


@pytest.fixture(scope="module")
def texts():
    return list(user_texts.everything())


def test_one_name_per_thing(texts):
    listed = list(faults(texts))
    assert not listed, "\n".join(listed)


def test_exceptions_are_used(texts):
    used = {(file_of(place), match[0]) for place, text in texts for pattern in INSTEAD for match in re.finditer(pattern, text)}
    assert not sorted(ALLOWED.keys() - used)


@pytest.mark.parametrize(
    "kind", ["README.md", "docs/recipes.md", "recipes/", "loralift plan", "pipeline/commands/", "report.md.jinja", "page.js"]
)
def test_every_kind_of_text_is_read(texts, kind):
    assert [place for place, _ in texts if kind in place]


@pytest.mark.parametrize(
    "text",
    [
        "tuned minus base",
        "Tuned answers",
        "use the fine-tune",
        "5 worked examples",
        "copies of held-out prompts",
        "the dev loss",
        "3 unparsed",
        "was cut off",
        "read as: mixed",
        "11 claims",
        "the adapter is dead",
        "in nats per token",
        "Cannot tell",
        "47 jobs, 0 to make",
        "not asked for",
    ],
)
def test_wrong_names_are_seen(text):
    assert list(faults([("x:1", text)]))


@pytest.mark.parametrize("text", ["fine-tuned minus base", "Fine-tuned", "do not use this fine-tune", "truncated", "a copy of the file"])
def test_right_names_are_not(text):
    assert not list(faults([("x:1", text)]))


def test_strings_are_found_in_code_and_templates():
    code = 'def f(n):\n    """Held-out."""\n    raise ValueError(f"no {n} held-out rows" "left")\n'
    assert list(user_texts.literals(code)) == [(3, "no … held-out rowsleft")]
    template = '{# dev #}<p class="dev" title="the dev set">{% call fold("Worked examples", "dev") %}{{ tuned }}</p>\nnext'
    assert user_texts.template_text(template).split() == ["the", "dev", "set", "Worked", "examples", "next"]
    assert user_texts.labels('f("cell", "Held out", "#Dev") // "A comment"').startswith("Held out | #Dev")
