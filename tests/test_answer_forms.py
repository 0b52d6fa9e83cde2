"""Answers as models write them that were read wrong once: options gone through one by one, lists in fences and sentences, laid-out SQL."""

import pytest

from pipeline import metrics
from pipeline.scoring import parsers
from pipeline.store.records import Example

OPTIONS = "Which city is the capital of France?\nA) London\nB) Paris\nC) Rome\nD) Berlin\nAnswer:"
REVIEW = "Review: x\nSentiment:"
TONE, SPAM, STARS = ("positive", "negative", "neutral"), ("spam", "not spam"), tuple("12345")


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("A) London is in the UK. B) Paris is in France. C) Rome is in Italy. So the answer is B.", "B"),
        ("A) London is big.\nB) Paris is the capital.\nThe answer is B.", "B"),
        ("A. London is in the UK.\nB. Paris is in France.\nTherefore, the correct option is B.", "B"),
        ("A) London.", "A"),
        ("A) is the answer. B) is not.", "A"),
        ("A. B is wrong. The answer is A", "A"),
        ("B (Paris) because it is. A is not.", "B"),
    ],
)
def test_options_that_a_text_goes_through_are_no_answer(text, choice):
    assert parsers.choice(text, Example("1", OPTIONS, "B", tuple("ABCD"))) == choice


@pytest.mark.parametrize(
    ("choices", "text", "choice"),
    [
        (TONE, "negative (cold soup), positive (staff)", None),
        (TONE, "negative\npositive", None),
        (TONE, "Positive. The answer is negative.", None),
        (TONE, "1% positive", None),
        (TONE, "partly positive", None),
        (TONE, "A positive customer would not write this", None),
        (TONE, "The review would be positive if the soup had been hot.", None),
        (TONE, "I doubt that it is positive", None),
        (TONE, "no doubt it is positive", "positive"),
        (TONE, "negative\n\nThe soup was cold. Kind staff is positive.", "negative"),
        (TONE, "negative, because the soup was cold; the staff part is positive", "negative"),
        (("yes", "no"), "Yes, it is. No, it isn't.", None),
        (tuple("ABCD"), "A- or B", None),
        (tuple("ABCD"), "A. oxygen is given off. B. carbon dioxide is taken in.", None),
        (("billing", "sales"), "billing@example.org", None),
    ],
)
def test_of_two_choices_without_a_certain_cue_none_is_read(choices, text, choice):
    assert parsers.choice(text, Example("1", "Note: x\nAnswer:", choices[0], choices)) == choice


MOODS = ("anger", "fear", "joy")


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("anger.\n\nfear.\n\njoy.", None),  # all of them
        ("anger\n\nfear", None),
        ("joy or anger\n\nfear", None),
        ("anger\n\nThe tweet shows anger rather than fear.", "anger"),
        ("anger\n\nanger\n\nanger", "anger"),
        ("anger, fear or joy\n\nfear", "fear"),  # the options, then the answer
    ],
)
def test_choices_in_paragraphs_of_their_own_are_several_answers(text, choice):
    assert parsers.choice(text, Example("1", "Tweet: x\nEmotion:", "joy", MOODS)) == choice


def test_choices_that_a_text_repeats_from_the_prompt_are_no_second_answer():
    prompt = "Pick one of these:\n- positive\n- negative\nReview: x\nSentiment:"
    assert parsers.choice("positive\n\nPick one of these:\n- positive\n- negative", Example("1", prompt, "-", TONE)) == "positive"
    assert parsers.choice("positive\n\n- positive\n- negative", Example("1", REVIEW, "-", TONE)) is None


MARKED = "Which is it?\nOptions:\nA: Yes\nB: No\nC: None of A and B\nAnswer:"
TEAMS, ANSWERS = ("billing", "support", "sales"), ("yes", "no")


@pytest.mark.parametrize(
    ("choices", "text", "choice"),
    [
        (TEAMS, "Sales... Actually, billing.", "billing"),
        (TEAMS, "Sales. Actually, I think it's billing because of the charge.", "billing"),
        (TEAMS, "sales team - no, billing", "billing"),
        (TEAMS, "sales, or rather billing", "billing"),
        (TEAMS, "Sales. I'm sorry, I mean support. No, billing.", "billing"),
        (TEAMS, "sales\n\nOops, billing!", "billing"),
        (TEAMS, "Sales.\nJust kidding, billing.", "billing"),
        (TEAMS, "Sales... Billing.", None),
        (TEAMS, "Sales. Actually, billing or support.", None),
        (TEAMS, "Billing. Actually, sales people handle new customers.", "billing"),
        (TEAMS, "Billing. No, sales would not handle it.", "billing"),
        (TEAMS, "Billing, no sales.", "billing"),
        (TEAMS, "Billing rather than sales.", "billing"),
        (TEAMS, "billing, actually", "billing"),
        (ANSWERS, "Yes... actually no.", "no"),
        (ANSWERS, "Yes. Actually, no other fuel takes more.", "yes"),
        (ANSWERS, "yes... no", None),
        (TONE, "~~negative~~ positive", "positive"),
        (TONE, "- [x] positive\n- [ ] negative\n- [ ] neutral", "positive"),
        (TONE, "☐ positive\n☑ negative\n☐ neutral", "negative"),
        (("positiv", "negativ"), "positiv... nein, negativ", "negativ"),
        (("positif", "négatif"), "positif, non, négatif", "négatif"),
        (("положительный", "отрицательный"), "отрицательный, точнее положительный", "положительный"),
        (("正面", "负面"), "负面……不对，正面", "正面"),
    ],
)
def test_of_an_answer_and_its_correction_the_correction_counts(choices, text, choice):
    assert parsers.choice(text, Example("1", "Note: x\nTeam:", choices[0], choices)) == choice


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("The answer is 70... no, 72.", "72"),
        ("70. Actually, 72 clips.", "72"),
        ("$70, I mean $72", "72"),
        ("72, actually", "72"),
    ],
)
def test_of_a_number_and_its_correction_the_correction_counts(text, value):
    assert parsers.number_in(".")(text, Example("1", "How many clips?\nAnswer:", value)) == value


def test_no_without_a_comma_is_no_correction():
    """`5 and no 3` may deny the 3 as well as correct the 5, so neither is read."""
    assert parsers.number_in(".")("5 and no 3", Example("1", "How many clips?\nAnswer:", "3")) is None
    assert parsers.number_in(".")("5, no, 3", Example("1", "How many clips?\nAnswer:", "3")) == "3"


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("A: no.\nB: yes.\nC: no.", "B"),
        ("A. Incorrect\nB. Correct\nC. Incorrect", "B"),
        ("A ❌\nB ✅\nC ❌", "B"),
        ("A? No. B? Yes.", "B"),
        ("A - no, B - yes", "B"),
        ("A: London is in the UK.\nB: Paris is in France.\nSo the answer is B.", "B"),
        ("A: The answer is B.", "B"),
        ("Die Antwort ist A. B ist falsch.", "A"),
        ("A: no.\nB: no.", None),
        ("B\nC: Rome", "B"),
    ],
)
def test_what_is_said_of_each_option_is_read(text, choice):
    prompt = "Which city is the capital of France?\nOptions:\nA: London\nB: Paris\nC: Rome\nAnswer:"
    assert parsers.choice(text, Example("1", prompt, "B", tuple("ABC"))) == choice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("4", "B"),
        ("The answer is 4.", "B"),
        ("22", "D"),
        ("A. 3 - wrong\nB. 4 - right\nC. 5 - wrong", "B"),
        ("4 or 5", None),
        ("It is 44.", None),
        ("C", "C"),
    ],
)
def test_a_number_that_is_an_option_stands_for_its_letter(text, choice):
    row = Example("1", "What is 2+2?\nA. 3\nB. 4\nC. 5\nD. 22\nAnswer:", "B", tuple("ABCD"))
    assert parsers.choice(text, row) == choice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ('It is best categorized under "positive" though parts are negative.', "positive"),
        ("It falls under negative, not positive.", "negative"),
        ("It could be classified as positive, but also as negative.", None),
    ],
)
def test_what_a_text_is_classified_as_is_its_answer(text, choice):
    assert parsers.choice(text, Example("1", REVIEW, "positive", TONE)) == choice


@pytest.mark.parametrize(
    ("text", "choice"),
    [("B: No", "B"), ("The answer is B: No.", "B"), ("A: Yes", "A"), ("No", "B"), ("C: None of A and B", "C"), ("A: no", None)],
)
def test_the_text_of_an_option_behind_its_mark_denies_nothing(text, choice):
    assert parsers.choice(text, Example("1", MARKED, "B", tuple("ABC"))) == choice


@pytest.mark.parametrize(
    ("choices", "text", "choice"),
    [
        (ANSWERS, "I can't say yes or no.", None),
        (ANSWERS, "Yes or no? No.", "no"),
        (TONE, "positive, as opposed to negative", "positive"),
        (TONE, "negative? No. neutral? No. positive? Yes.", "positive"),
        (TONE, "positive: true, negative: false", "positive"),
        (("positiv", "negativ", "neutral"), "eher negativ als neutral", "negativ"),
        (("positiv", "negativ", "neutral"), "weder positiv noch negativ, also neutral", "neutral"),
        (("positif", "négatif"), "plutôt négatif que positif", "négatif"),
        (("positif", "négatif"), "ni positif ni négatif", None),
        (("положительный", "отрицательный"), "скорее положительный, чем отрицательный", "положительный"),
    ],
)
def test_a_denial_governs_all_that_it_joins(choices, text, choice):
    assert parsers.choice(text, Example("1", "Note: x\nAnswer:", choices[0], choices)) == choice


@pytest.mark.parametrize(
    ("choices", "text", "choice"),
    [
        (TONE, "Neutral (neither positive nor negative)", "neutral"),
        (TONE, "**neutral** (it is neither positive nor negative).", "neutral"),
        (TONE, "positive (or negative)", None),
        (TONE, "The review is more negative than positive.", "negative"),
        (TONE, "It's closer to negative than to positive.", "negative"),
        (TONE, "This is more of a positive review than a negative one.", "positive"),
        (TONE, "It is not more negative than positive.", None),
        (TONE, "positive: no doubt about it", "positive"),
        (SPAM, "non-spam", "not spam"),
        (SPAM, "Spam: No", None),
        (SPAM, '{"spam": false}', None),
        (STARS, "2 stars. The room had 1 bed.", "2"),
        (STARS, "Rating: 3\nThe review names 2 problems.", "3"),
    ],
)
def test_a_remark_or_a_comparison_beside_a_choice_changes_none(choices, text, choice):
    assert parsers.choice(text, Example("1", REVIEW, "-", choices)) == choice


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("There is no information about this in the passage.", None),
        ("There is no limit, so yes", "yes"),
        ("It is no longer made. So the answer is yes.", "yes"),
        ("The answer is no since it ended", "no"),
        ("It is no because of the rain", "no"),
        ("Yes or no: no", "no"),
        ("True or False: True", "yes"),
    ],
)
def test_a_no_before_a_noun_is_no_answer(text, read):
    assert parsers.boolean(text, Example("1", "Passage: x\nAnswer:", "yes", ("yes", "no"))) == read


NEWS = Example("1", "News: profits rose on trade.\nTopics:", "earn, trade")


@pytest.mark.parametrize(
    "text",
    [
        'Topics: ["earn", "trade"]',
        'The topics are ["earn", "trade"].',
        'Here are the topics:\n["earn", "trade"]',
        '```json\n["earn", "trade"]\n```',
        "```\nearn, trade\n```",
        "```earn, trade```",
        'Here are the topics:\n```json\n{"topics": ["earn", "trade"]}\n```\nLet me know!',
        "Topics: [earn, trade]",
        '["earn", "trade"]\n\nBoth are named.',
        "earn, trade\n\nBoth are named in the text.",
        "earn, trade. Both are named.",
        "The text mentions earn and trade.",
        "The news item is about trade and earn.",
        "- earn: named in line 1\n- trade: named in line 2",
        "1. earn (line 1)\n2. trade (line 2)",
        '"earn, trade"',
        "+ earn\n+ trade",
        "a) earn\nb) trade",
        "both earn and trade",
        "Sure, here you go: earn, trade",
        "<topics>earn, trade</topics>",
        "earn, trade\nNews: another text\nTopics: grain",
        "(1) earn (2) trade",
        "1) earn 2) trade",
        "a) earn b) trade",
        "① earn ② trade",
        "• earn • trade",
        "#earn #trade",
        "#earn, #trade",
        "i. earn\nii. trade",
        "earn, trade, etc.",
        "earn, trade and so on",
        "earn, trade, and more",
        "earn, trade usw.",
        "earn; also trade",
        "earn trade",
    ],
)
@pytest.mark.parametrize("parse", [parsers.topics, parsers.text])
def test_labels_are_read_out_of_every_kind_of_list(text, parse):
    assert set_scores(parse(text, NEWS)) == 1


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("earn, coffee", 1 / 2),
        ("- earn\n- some long invented label name\n- trade", 4 / 5),
        ("earn, very long invented label name here, trade", 4 / 5),
        ("not earn", 0),
        ("The text is about coffee.", 0),
        ("earn, trade, ok", 4 / 5),
    ],
)
def test_a_label_that_is_none_counts_as_wrong(text, score):
    assert set_scores(text, "ok" if score and "ok" in text else "coffee") == pytest.approx(score)


@pytest.mark.parametrize(
    "gold",
    [
        "2. bundesliga, 1. liga",
        "1. liga",
        "1. liga, 2. liga",
        "(1) red (2) blue",
        "red, etc.",
        "others, more",
        "red\nvery long name of a colour",
        "Text: red, Note: a",
        "ok, sure",
        "a. b, c",
    ],
)
def test_a_target_is_its_own_answer_in_every_form(gold):
    assert metrics.load("set_f1").compute(predictions=[gold, "liga"], references=[gold, "liga"]) == {"set_f1": 1}


def set_scores(text, other="coffee"):
    metric = metrics.load("set_f1")
    return metric.compute(predictions=[text, other], references=["earn, trade", other], per_example=True)["set_f1_per_example"][0]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("SELECT a FROM t WHERE b > (\n  SELECT AVG(b)\n  FROM t\n)", "SELECT a FROM t WHERE b > ( SELECT AVG(b) FROM t )"),
        ("SELECT a FROM t WHERE b > (\nSELECT AVG(b)\nFROM t\n)\nIt selects a.", "SELECT a FROM t WHERE b > ( SELECT AVG(b) FROM t )"),
        ("SELECT\na\nFROM t\nWHERE b > 5", "SELECT a FROM t WHERE b > 5"),
        ("SELECT a FROM t\nUNION\nSELECT a FROM u", "SELECT a FROM t UNION SELECT a FROM u"),
        ("select a from t\nunion all\nselect a from u", "select a from t union all select a from u"),
        ("SELECT a FROM t WHERE b = 'x -- y'", "SELECT a FROM t WHERE b = 'x -- y'"),
        ("SELECT a FROM t WHERE b > 5.", "SELECT a FROM t WHERE b > 5"),
        ("SELECT a FROM t WHERE state = OR\nIt selects a.", "SELECT a FROM t WHERE state = OR"),
        ("SELECT a FROM t WHERE b > 5 This query returns a.", "SELECT a FROM t WHERE b > 5"),
        ("SELECT a FROM t WHERE b > 5. The query finds a.", "SELECT a FROM t WHERE b > 5"),
        ("SELECT a FROM t WHERE b = 'x; y'; This returns all of a.", "SELECT a FROM t WHERE b = 'x; y'"),
        ("SELECT a FROM t WHERE b > 5 (This gives a.)", "SELECT a FROM t WHERE b > 5"),
        ("SELECT a FROM t WHERE b > 5, which gives a.", "SELECT a FROM t WHERE b > 5"),
        ("You can use SELECT a FROM t WHERE b > 5 to get the names.", "SELECT a FROM t WHERE b > 5"),
        ("<sql>SELECT a FROM t WHERE b > 5</sql>", "SELECT a FROM t WHERE b > 5"),
        ("SELECT a FROM t /* all of it */ WHERE b > 5", "SELECT a FROM t WHERE b > 5"),
        ("SELECT a FROM t WHERE title = That Thing You Do", "SELECT a FROM t WHERE title = That Thing You Do"),
        ("SELECT a FROM t WHERE title = This Is It", "SELECT a FROM t WHERE title = This Is It"),
        ("SELECT a FROM t WHERE title = This gives me hope", "SELECT a FROM t WHERE title = This gives me hope"),
        ('SELECT a FROM t WHERE b = "Well, this returns the love"', 'SELECT a FROM t WHERE b = "Well, this returns the love"'),
        ("SELECT a FROM t WHERE title = To Find the One", "SELECT a FROM t WHERE title = To Find the One"),
        ("SELECT a FROM t WHERE city = St. Louis", "SELECT a FROM t WHERE city = St. Louis"),
    ],
)
def test_a_query_goes_on_over_all_its_lines(text, query):
    assert parsers.sql(text, Example("1", "Question: x\nSQL:", query)) == query


@pytest.mark.parametrize("query", ["SELECT [Total points] FROM [t] WHERE [Team] = 'x'", "SELECT `Total points` FROM t WHERE Team = x"])
def test_brackets_around_a_name_are_quotes(query):
    metric = metrics.load("sql_match")
    assert metric.compute(predictions=[query], references=["SELECT Total points FROM t WHERE Team = x"])["sql_match"] == 1
    assert metric.compute(predictions=["SELECT a[1] FROM t"], references=["SELECT a 1 FROM t"])["sql_match"] == 0


CODE = "def f(x):\n    return x + 1"
SHOWN = 'def f(x):\n    """Add one.\n\n    ```\n    f(1)\n    ```\n    """\n    return x + 1'


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The function:\n\n    def f(x):\n        return x + 1\n\nIt adds one.", CODE),
        (f"Import it:\n```python\nimport math\n```\nThen:\n```python\n{CODE}\n```", f"import math\n{CODE}"),
        ("```python\nimport math\n```", "import math"),
        (f"```python\n{SHOWN}\n```\nIt adds one.", SHOWN),
        (f"{SHOWN}\n\nIt adds one.", SHOWN),
        (f"```python\n{SHOWN}", SHOWN),
        (f"python\n{CODE}", CODE),
        (f"Sure! ```python\n{CODE}\n```", CODE),
        (f"<code>{CODE}</code>", CODE),
        ("    def f(x):\n        return x + 1", CODE),
        ("    def g(x):\n        return x\n    return g(1)", "    def g(x):\n        return x\n    return g(1)"),
        (f"Draft:\n```python\ndef f(x):\n    return x\n```\nCorrected:\n```python\n{CODE}\n```", CODE),
        (f"```python\n{CODE}\n```\nA test of the final code:\n```text\nf(1)\n```", CODE),
        ("`def f(x): return x + 1`", "def f(x): return x + 1"),
        ("Use `f = lambda x: x + 1`, where `x` is a number.", "f = lambda x: x + 1"),
        (">>> def f(x):\n...     return x + 1\n...\n>>> f(1)\n2", CODE),
        ("```python\n>>> def f(x):\n...     return x + 1\n```", CODE),
        (
            'def f(x):\n    """\n    >>> f(1)\n    2\n    """\n    return x + 1',
            'def f(x):\n    """\n    >>> f(1)\n    2\n    """\n    return x + 1',
        ),
        ("Either `f = max` or `f = min`.", "Either `f = max` or `f = min`."),
    ],
)
def test_a_program_is_read_out_of_all_its_blocks(text, code):
    assert parsers.code(text, Example("1", "Write f.", code)) == code
