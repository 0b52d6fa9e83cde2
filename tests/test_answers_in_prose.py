"""Answers that untuned models reason out, list, hedge or go on from, each with what a careful reader takes from it."""

import json

import pytest

from pipeline import metrics
from pipeline.data import task as tasks
from pipeline.metrics import tool_calls
from pipeline.scoring import parsers
from pipeline.store.records import Example

TONE, TEAMS, LETTERS, STARS = ("positive", "negative", "neutral"), ("billing", "support", "sales"), tuple("ABCD"), tuple("12345")
NOTE = "Note: x\nLabel:"


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("The kettle leaks, which is negative. But support was kind, which is positive. Overall, the review is neutral.", "neutral"),
        ("Leak: negative\nSupport: positive\nOverall: neutral", "neutral"),
        ("| Aspect | Tone |\n|---|---|\n| Leak | negative |\n| Support | positive |\n| **Overall** | **neutral** |", "neutral"),
        ("Initially positive, but ultimately negative.", "negative"),
        ("Das Lob ist positive, der Mangel negative, insgesamt also neutral.", "neutral"),
        ("质量是positive，但客服是negative。总的来说，neutral。", "neutral"),
        ("We need to pick between positive, negative and neutral.\n\nThe kettle leaks.\n\nNegative", "negative"),
        ("I am to choose positive, negative or neutral. The kettle leaks, so I'll go with negative.", "negative"),
        ("So is it positive or negative? Hard to say.", None),
        ("Overall, it is positive or neutral, not negative.", None),
        ("It was so positive that the negative part is easy to miss.", None),
    ],
)
def test_the_conclusion_of_a_chain_of_thought_counts(text, choice):
    assert parsers.choice(text, Example("1", NOTE, "neutral", TONE)) == choice


@pytest.mark.parametrize(
    ("choices", "text", "choice"),
    [
        (TONE, "It isn't entirely negative, nor entirely positive. Neutral.", "neutral"),
        (TONE, "It would be wrong to call this positive; it's clearly negative.", "negative"),
        (TONE, "It would be a mistake to label it negative.", None),
        (TONE, "The kettle does not work it is negative", "negative"),
        (TONE, "I do not think it is negative", None),
        (("entailment", "neutral", "contradiction"), "Entailment: No\nNeutral: No\nContradiction: Yes", "contradiction"),
        (LETTERS, "All except B", None),
        (LETTERS, "Anything but B", None),
        (("plainte", "question", "compliment"), "Ce n'est ni une question ni un compliment, c'est une plainte.", "plainte"),
    ],
)
def test_a_denial_reaches_as_far_as_its_clause(choices, text, choice):
    assert parsers.choice(text, Example("1", NOTE, choices[0], choices)) == choice


@pytest.mark.parametrize(
    ("choices", "text", "choice"),
    [
        (LETTERS, "C) Nitrogen is in soil, D) Helium is inert, A) Oxygen is released. That leaves B.", "B"),
        (LETTERS, "The answer is B, A is for animals.", "B"),
        (LETTERS, "A: Venus\nB: Mars\nC: Mercury\nD: Earth\nC", "C"),
        (LETTERS, "C'est B", "B"),
        (("joy", "surprise"), "Surprise! The answer is joy.", None),
        (TONE, "- positive\n- negative", None),
        (TONE, "positive; negative", None),
        (TONE, "positive! negative!", None),
        (TONE, "positive\nnegative\nneutral", None),
        (TONE, "* positive\n* negative\n* neutral\n\nI'd choose negative", "negative"),
        (TONE, "positive? negative? neutral?", None),
        (TONE, "positive, negative or neutral - negative", "negative"),
        (LETTERS, "D) Helium\nC) Nitrogen\nB) Carbon dioxide\nA) Oxygen\n\nCorrect: B", "B"),
        (("ham", "spam"), "Unlikely to be ham", None),
        (LETTERS, "An A", "A"),
        (LETTERS, "A: 1230 km, B: 6650 km, C: 346 km. The longest is B.", "B"),
        (TONE, "Negative. Positive. Neutral.", None),
        (("plainte", "question"), "C'est plutôt une plainte qu'une question.", "plainte"),
        (TONE, "- positive\n- nothing negative in it", "positive"),
        (("low", "very low", "high"), "The risk is low to very low.", None),
        (("spam", "not spam"), "notspam", "not spam"),
        (("toxic", "non-toxic"), "nontoxic", "non-toxic"),
        (TEAMS, "Support is for bugs and sales is for orders. Billing it is.", "billing"),
        (TEAMS, "I am going to classify this as billing. While support was kind, it is a charge.", "billing"),
        (STARS, "I'd give it 3 stars out of 5.", "3"),
        (("0", "1"), "0 - incorrect", "0"),
        (("0", "1"), "1 (correct)", "1"),
        (("0", "1"), "0: incorrect\n1: correct", "1"),
    ],
)
def test_one_of_several_named_choices_is_the_answer_or_none(choices, text, choice):
    assert parsers.choice(text, Example("1", NOTE, choices[0], choices)) == choice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("positive (3%), negative (95%), neutral (2%)", "negative"),
        ("positive: 0.1\nnegative: 0.7\nneutral: 0.2", "negative"),
        ("80% negative, 20% positive", "negative"),
        ("positive=0, negative=1, neutral=0", "negative"),
        ("50% negative, 50% positive", None),
        ("positive. 90% of negative reviews are longer.", "positive"),
    ],
)
def test_of_several_choices_with_shares_the_largest_counts(text, choice):
    assert parsers.choice(text, Example("1", NOTE, "positive", TONE)) == choice


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("I'd have to say no here", "no"),
        ("It says yes and no in different places.", None),
        ("no, i think yes", None),
        ("No... well, yes.", "yes"),
        ("The answer would be yes if corn were free; as it is, no.", None),
        ("Yes, no doubt", "yes"),
    ],
)
def test_a_no_that_somebody_has_to_say(text, answer):
    assert parsers.boolean(text, Example("1", NOTE, "no", ("yes", "no"))) == answer


def test_what_follows_the_next_question_in_the_same_line_is_no_answer():
    ticket = Example("1", "Ticket: I was charged twice.\nTeam:", "billing", TEAMS)
    assert parsers.choice("billing Ticket: The screen is black. Team: support", ticket) == "billing"
    assert parsers.choice("The Ticket: charged twice, so not support. Team: billing", ticket) == "billing"
    assert parsers.choice("Billing team (cc: support)", ticket) is None
    tagged = Example("1", "Input: Anna lives in Rome . Output:", "-")
    one, other = '{"person": ["Anna"]}', '{"person": ["Ben"]}'
    assert parsers.json(f"{one} Input: Ben sings . Output: {other}", tagged) == one
    assert parsers.json(f"{other}\nWait, that is another one:\n{one}", tagged) == one


NEWS = Example("1", "News: grain waits for ships.\nTopics:", "grain, ship")


@pytest.mark.parametrize(
    "text",
    [
        "grain\nship",
        "The main topic is grain, with ship as a secondary topic.",
        "Main topic: grain\nSecondary topic: ship",
        "grain and ship, but not wheat",
        "Not wheat. grain, ship",
        "```\ngrain\nship\n```",
        '{"topics": "grain, ship"}',
        '{"topics": ["grain", "ship"], "reason": "they wait"}',
        '{"grain": true, "ship": true, "wheat": false}',
        "Based on the title and body, the topics are grain and ship.",
        "Based on the text, I would label it as:\n- grain\n- ship",
        "grain – ship",
        '"grain" and "ship"',
        "grain, ship; these are the topics",
        "Topics: grain; ship; (wheat is mentioned but not a topic)",
        "① grain\n② ship",
        "a. grain\nb. ship",
        "The title mentions wheat and ships. So the topics are grain, ship.",
        "grain, ship, I think",
        "- [x] grain\n- [ ] wheat\n- [x] ship",
        "~~wheat~~ grain, ship",
        "grain, ship -- because ships wait for grain",
        "Topics: grain\nTopics: ship",
        "| Topic |\n|---|\n| grain |\n| ship |",
        "Sure! grain, ship",
        "Sure! The topics are grain and ship. Let me know if you need more.",
        "grain, ship\n\nHope this helps!",
        "It is about grain and ship, not coal.",
        "Topics: grain, ship. (2 topics)",
        "topics=grain,ship",
        "The answer is: grain and ship. Both wait.",
        "Primarily grain; also ship.",
        "grain, ship, and nothing else",
        "**Grain** and **ship**",
        "grain,\nship",
        "It has grain, ship, but no coal.",
        "It is about grain. It also has ship.",
        "grain: yes\nship: yes\nwheat: no",
    ],
)
@pytest.mark.parametrize("parse", [parsers.topics, parsers.text])
def test_labels_are_read_out_of_prose_that_names_others(text, parse):
    answers, references = [parse(text, NEWS), "wheat"], ["grain, ship", "wheat"]
    values = metrics.load("set_f1").compute(predictions=answers, references=references, per_example=True)["set_f1_per_example"]
    assert values[0] == 1, answers[0]


@pytest.mark.parametrize("gold", ["a. b, c", "St. Louis, x", "the who, it", "not applicable, no", "I, i", "[x], x", "a – b, c"])
def test_targets_that_look_like_prose_are_their_own_answers(gold):
    assert metrics.load("set_f1").compute(predictions=[gold, "x"], references=[gold, "x"]) == {"set_f1": 1}


CALL = '[{"arguments": {"city": "Rome"}, "name": "weather"}]'


@pytest.mark.parametrize(
    "text",
    [
        "<function=weather>\n<parameter=city>\nRome\n</parameter>\n</function>",
        '{"function": "weather", "arguments": {"city": "Rome"}}',
        '{"tool": "weather", "args": {"city": "Rome"}}',
        '{"tool_calls": [{"function": {"name": "weather", "arguments": {"city": "Rome"}}}]}',
        '[weather(city="Rome")]',
        '```python\nweather(city="Rome")\n```',
    ],
)
def test_a_call_is_one_in_every_form(text):
    assert parsers.tool_call(text, NEWS) == tool_calls.canonical(json.loads(CALL))


@pytest.mark.parametrize("text", ["Hello (there)!", "Call me.", '{"action": "none"}', "print('x')", '{"tool": "hammer"}'])
def test_words_are_no_call(text):
    assert parsers.tool_call(text, NEWS) == "[]"


QUERY = "SELECT a FROM t WHERE b > 5"


@pytest.mark.parametrize(
    ("text", "query"),
    [
        (f"First I tried SELECT * FROM t. The final query: {QUERY}", QUERY),
        (f"{QUERY}; SELECT c FROM t", None),
        (f"{QUERY} (assuming that b is a number)", QUERY),
        (f"{QUERY} and that gives the answer", QUERY),
        (f"{QUERY} That's it!", QUERY),
        (f"{QUERY} Question: who? SQL: SELECT c FROM t", QUERY),
        ("SELECT a FROM t WHERE b = 'x. SELECT y'", "SELECT a FROM t WHERE b = 'x. SELECT y'"),
        ("SELECT a FROM (SELECT b FROM t) WHERE c = 1", "SELECT a FROM (SELECT b FROM t) WHERE c = 1"),
    ],
)
def test_a_query_ends_where_another_begins(text, query):
    assert parsers.sql(text, Example("1", "Question: x\nSQL:", QUERY)) == query


CODE = "def f(x):\n    return x + 1"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"Attempt:\n```python\ndef f(x):\n    return x\n```\nFixed version:\n```python\n{CODE}\n```", CODE),
        (f"Wrong:\n```python\ndef f(x):\n    return x\n```\nRight:\n```python\n{CODE}\n```", CODE),
        (f"Test:\n```python\nassert f(1) == 2\n```\nCode:\n```python\n{CODE}\n```", CODE),
        (f"Usage:\n```python\ny = f(1)\nprint(y)\n```\nCode:\n```python\n{CODE}\n```", CODE),
        (
            f"```python\ndef g(x):\n    return x\n```\n```python\n{CODE.replace('x + 1', 'g(x)')}\n```",
            "def g(x):\n    return x\ndef f(x):\n    return g(x)",
        ),
        (f"```python\n{CODE}\n```\nOr:\n```python\ndef f(x):\n    return 1 + x\n```", CODE),
        (f"```python\nSTEP = 1\n```\n```python\n{CODE}\n```", "STEP = 1"),
        (f"<pre><code>{CODE}\n</code></pre>", CODE),
        ("```python\nreturn x + 1\n```", "    return x + 1"),
        ("if x:\n    return 1\nreturn 0", "    if x:\n        return 1\n    return 0"),
    ],
)
def test_a_program_is_what_defines_the_answer(text, code):
    assert parsers.code(text, Example("1", "Write f.", code)) == code


@pytest.mark.parametrize(
    "text",
    [
        "The type of this clause is governing-laws.",
        "This is a Governing Laws clause.",
        "The clause is about governing laws",
        "Governing Laws",
    ],
)
def test_a_sentence_that_names_the_type_of_a_clause(text):
    assert tasks.find("legal").answer(text, Example("1", "Clause: x\n\nClause type:", "-")) == "governing-laws"
