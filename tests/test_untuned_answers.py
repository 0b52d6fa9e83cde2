"""Code, queries and lines are read out of what untuned models write around them: fences, tags, lists, cues, comments."""

import pytest

from pipeline import metrics
from pipeline.scoring import parsers
from pipeline.store.records import Example

CODE = "def f(x):\n    return x + 1"
INDENTED = "   def f(x):\n       return x + 1"


def example(prompt="Note: x\nTeam:"):
    return Example("1", prompt, "-")


@pytest.mark.parametrize(
    "text",
    [
        f"~~~python\n{CODE}\n~~~",
        f"Install it first:\n```bash\npip install x\n```\n```python\n{CODE}\n```",
        f"```\n>>> f(1)\n2\n```\nis what this gives:\n```python\n{CODE}\n```",
        f"1. First:\n   ```python\n{INDENTED}\n   ```\n2. Then call it.",
        f"[PYTHON]\n{CODE}\n[/PYTHON]",
        f"<code>\n{CODE}\n</code>",
        f"[CODE]\n{CODE}",
    ],
)
def test_code_is_read_out_of_every_kind_of_block(text):
    assert parsers.code(text, example()) == CODE


def test_the_first_block_counts_where_none_is_python():
    assert parsers.code("```\nx =\n```\n```\ny =\n```", example()) == "x ="


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a, b\nFROM t\nLEFT JOIN u ON x = y\nWHERE c = 1\nORDER BY a",
        "SELECT a, b\nfrom t\nleft join u on x = y\nwhere c = 1\norder by a",
        "SELECT a,\nb\nFROM t\nLEFT JOIN u\nON x = y\nWHERE c = 1\nORDER BY a",
        "**SELECT a, b FROM t LEFT JOIN u ON x = y WHERE c = 1 ORDER BY a**",
        "SELECT a, b -- two\nFROM t LEFT JOIN u ON x = y\nWHERE c = 1 ORDER BY a; -- sorted",
        "SELECT a, b FROM t LEFT JOIN u ON x = y WHERE c = 1 ORDER BY a\nFrom this we see both.\nAnd that is all.",
    ],
)
def test_a_query_is_read_to_its_end(text):
    read = parsers.sql(text, example())
    assert read is not None
    assert read.lower() == "select a, b from t left join u on x = y where c = 1 order by a"


@pytest.mark.parametrize(
    "text",
    [
        "```\nred\n```",
        "```text\nred",
        "Team:\nred",
        "Team:\n\n- red",
        "# red",
        "> red",
        "### **red**",
        r"\boxed{red}",
        r"$\boxed{\text{red}}$",
        "The answer is red.",
        "So, the correct answer is: **red**",
        "My answer is red",
    ],
)
def test_the_first_line_is_that_of_the_answer(text):
    assert parsers.first_line(text, example()) == "red"
    assert parsers.first_line("red", example()) == "red"


@pytest.mark.parametrize("text", ["answers are few", "#1", "-3", ">5", "Team", "the answer"])
def test_what_only_looks_like_a_cue_stays(text):
    assert parsers.first_line(text, example()) == text


QUESTION = "Review: not a positive thing to say\nRating: 5\nSentiment:"


@pytest.mark.parametrize(
    "text",
    [
        QUESTION + " negative",
        QUESTION + "\nnegative",
        "**Review:** not a positive thing to say\n**Rating:** 5\n**Sentiment:** negative",
        "> Review: not a positive thing to say\n> Rating: 5\n> Sentiment: negative",
        "Rating: 5\nSentiment: negative",
        f"{QUESTION} negative\n\nReview: a good one\nRating: 5\nSentiment: positive",
        f"negative\n\n{QUESTION}",
        "negative\n\nReview: a good one\nRating: 5\nSentiment: positive",
    ],
)
def test_a_prompt_that_is_repeated_is_no_answer(text):
    row = Example("1", QUESTION, "negative", ("positive", "negative"))
    assert parsers.choice(text, row) == "negative"
    assert parsers.first_line(text, row) == "negative"
    assert parsers.topics(text, row) == "negative"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The review sounds happy.\nRating: 5 suggests as much.\nSo the answer is positive.", "positive"),
        ("Let us see.\nRating: 5\nSentiment: positive", "positive"),
        ("Let us see.\nRating: 50\nSentiment: positive", None),
    ],
)
def test_a_remark_on_a_line_of_the_prompt_is_no_other_question(text, answer):
    assert parsers.choice(text, Example("1", QUESTION.replace("not a", "a"), "positive", ("positive", "negative"))) == answer


def test_what_a_repeated_prompt_holds_is_not_read():
    mail = Example("1", "Subject: Invoice\nBody: it is wrong\n\nWhich team? Answer with one word.", "billing", ("billing", "sales"))
    assert parsers.choice(f"{mail.prompt} billing", mail) == parsers.choice(f"{mail.prompt}\nbilling", mail) == "billing"
    assert parsers.choice(f"billing\n\n{mail.prompt}\nsales", mail) == "billing"
    number = Example("1", "Question: What is 2 + 3?\nAnswer:", "5")
    assert parsers.number("Question: What is 2 + 3?\nAnswer: 5", number) == "5"
    assert parsers.number("5\n\nQuestion: What is 2 + 3?", number) == "5"
    record = Example("1", 'Write as {"a": 0}.\nText: one\nJSON:', '{"a": 1}')
    assert parsers.json('Write as {"a": 0}.\nText: one\nJSON: {"a": 1}', record) == '{"a": 1}'


def test_a_target_that_is_a_line_of_the_prompt_stays():
    row = Example("1", "Name: Ann\nRating: 5\nRepeat the rating.", "Rating: 5")
    assert parsers.first_line("Rating: 5", row) == "Rating: 5"
    assert parsers.text("Name: Ann\nRating: 5", row) == "Name: Ann\nRating: 5"


@pytest.mark.parametrize(
    "text",
    [
        "The city is Paris.",
        "So the city is **Paris**.",
        "Sure! The city is Paris.",
        "Sure!\n\nParis",
        "Here is the city:\nParis",
        "Of course, here you are:\n\n- Paris",
        "City = Paris",
        "-> Paris",
        "=> Paris",
        "The correct answer is Paris",
    ],
)
def test_what_only_announces_the_answer_is_left_out(text):
    assert parsers.first_line(text, Example("1", "Text: The sky over Paris was grey.\nCity:", "Paris")) == "Paris"


@pytest.mark.parametrize("text", ["The city is Paris", "Sure thing!", "Here are the keys: a, b", "City hall is closed"])
def test_a_line_that_says_something_else_stays(text):
    assert parsers.first_line(text, Example("1", "Translate: x\nText:", text)) == text


@pytest.mark.parametrize("before", ['Using the format {"a": "..."}:', '{"a": "..."}'])
def test_an_object_of_the_prompt_is_no_second_answer(before):
    row = Example("1", 'Write JSON, such as {"a": "..."}.\n\nText: one', '{"a": 1}')
    assert parsers.json(f'{before}\n{{"a": 1}}', row) == '{"a": 1}'
    assert parsers.json(f'{before}\n{{"a": 1}}\n\n{{"a": 2}}', row) is None
    assert parsers.json('{"a": "..."}', row) == '{"a": "..."}'


OPTIONS = ("London", "Paris", "Rome", "none of these")
LISTS = ["{}) {}", "({}) {}", "{}. {}", "{}: {}", '{}: "{}."']


@pytest.mark.parametrize("form", LISTS)
@pytest.mark.parametrize("between", ["\n", "  "])
@pytest.mark.parametrize("marks", ["ABCD", "1234"])
def test_the_text_of_an_option_stands_for_its_mark(form, between, marks):
    listed = between.join(form.format(mark, option) for mark, option in zip(marks, OPTIONS, strict=True))
    row = Example("1", f"What is the capital of France?\n{listed}\nAnswer:", marks[1], tuple(marks))
    for text in ("Paris", "paris.", "**Paris**", "The capital is Paris.", "It is not Rome. It is Paris.", f"{row.prompt} Paris"):
        assert parsers.choice(text, row) == marks[1], text
    assert parsers.choice("None of these", row) == marks[3]
    for text in ("Paris or Rome", "Berlin", "not Paris", "", "It is Parisian."):
        assert parsers.choice(text, row) is None, text
    assert parsers.choice(f"{marks[0]}. Paris", row) == marks[0]


@pytest.mark.parametrize("prompt", ["Is it A or B?", "A) red\nB) red\nAnswer:", "B) red\nA) blue\nAnswer:", "A) red\nAnswer:"])
def test_without_a_list_of_options_their_texts_are_none(prompt):
    assert parsers.choice("red", Example("1", prompt, "A", ("A", "B"))) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("No, wait. Yes.", "yes"),
        ("no\n\nWait, that is wrong: yes", "yes"),
        ("No. On second thought, yes.", "yes"),
        ("Yes, the train can wait.", "yes"),
        ("Yes. Wait for it!", "yes"),
    ],
)
def test_what_a_text_takes_back_is_no_answer(text, answer):
    assert parsers.choice(text, Example("1", "Is it late?\nAnswer:", "yes", ("yes", "no"))) == answer
    pairs = {"yes": "14", "no": "12"}
    number = text.replace("Yes", "14").replace("yes", "14").replace("No", "12").replace("no\n", "12\n")
    assert parsers.number(number, Example("1", "How late is it?", "14")) == pairs[answer]


TOPICS = [
    "The topics are earn and trade.",
    "The topics are: earn, trade.",
    "Sure! Here are the topics:\n\n- earn\n- trade",
    "Here are the topics:\n1. earn\n2. trade",
    "1) earn, 2) trade",
    "earn/trade",
    "earn | trade",
    '{"topics": ["earn", "trade"]}',
    "earn, trade\n\nExplanation: profits, and trade in coffee.",
    "**Topics:** earn, trade",
]


@pytest.mark.parametrize("text", TOPICS)
@pytest.mark.parametrize("parse", [parsers.topics, parsers.text])
def test_a_list_of_labels_is_read_as_a_person_does(text, parse):
    metric = metrics.load("set_f1")
    row = Example("1", "News: profits rose on trade.\nTopics:", "earn, trade")
    answers = [parse(text, row), "coffee", "earn/coffee", "here are the topics:"]
    references = ["earn, trade", "coffee, and/or", "earn", "earn"]
    assert metric.compute(predictions=answers, references=references, per_example=True)["set_f1_per_example"] == [1, 2 / 3, 2 / 3, 0]


@pytest.mark.parametrize(
    "text",
    [
        "You can use `{}`.",
        "`{}`",
        'Use "{}".',
        "Use `{};`, which is short.",
        "The query `{}` gives it, as `a` is a name.",
        "`{}` or, for all rows, nothing",
    ],
)
@pytest.mark.parametrize("query", ["SELECT a FROM t WHERE b > 5", "SELECT `a` FROM `t`"])
def test_a_query_in_a_sentence_ends_with_its_quotes(text, query):
    assert parsers.sql(text.format(query), example()) == query


def test_a_quoted_value_ends_no_query():
    assert parsers.sql('SELECT a FROM t WHERE b = "x"', example()) == 'SELECT a FROM t WHERE b = "x"'
    assert parsers.sql("```SELECT `a` FROM t```", example()) == "SELECT `a` FROM t"


def test_a_label_that_takes_nothing_back():
    assert parsers.choice("Wait. Do not go.", Example("1", "Light: red\nAction:", "wait", ("wait", "go"))) == "wait"
    assert parsers.choice("wait, then go", Example("1", "Light: red\nAction:", "wait", ("wait", "go"))) is None
