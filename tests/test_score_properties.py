"""Scores hold in every script and number format: gold is right, other values are not, and reading twice reads the same."""

import json
import unicodedata
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import metrics
from pipeline.data import task as tasks
from pipeline.metrics import numbers, words
from pipeline.scoring import parsers
from pipeline.store.records import Example

FEW = settings(max_examples=25, deadline=None, derandomize=True)
SCRIPTS = {
    "Latin": "the parcel niño Straße naïve Ångström café late",
    "Cyrillic": "заказ отправлен вчера магазин закрыт ёлка",
    "Greek": "καλημέρα κόσμε παραγγελία αργά",
    "Arabic": "الطلب متأخر جدا اليوم",
    "Devanagari": "ऑर्डर देर से आया नमस्ते",
    "Thai": "สินค้ามาช้ามาก ไม่ดีเลย",
    "Chinese": "包装破损了 快递迟到 好评",
    "Japanese": "配達が遅れました とても良い カタカナ",
    "Korean": "배송이 늦었어요 아주 좋아요",
    "emoji": "👍 🎉🎉 ❤️ 👩‍💻 🙃",
    "numbers": "12 1.5 -3 1/8 10² 2,50 07.01.2024 12:30 5kg",
    "signs": "?! ... + ☂ → x_1",
    "LaTeX": r"$\frac{3}{8}$ \alpha^2 x_{1} = 5",
}
FREE = [
    name
    for name in metrics.inline_names()
    if not name.startswith("paper_") and name not in (*metrics.READS_JSON, *metrics.READS_CALLS) and name != "mae_similarity"
]
texts = st.one_of(
    [st.lists(st.sampled_from(words.split()), min_size=1, max_size=9).map(" ".join) for words in SCRIPTS.values()]
    + [st.lists(st.sampled_from(" ".join(SCRIPTS.values()).split()), min_size=1, max_size=6).map(" ".join)]
)
LABELS = (
    ("A", "B", "C", "D"),
    ("yes", "no"),
    ("0", "1"),
    ("positive", "negative", "not sure"),
    ("好评", "差评"),
    ("положительный", "отрицательный"),
    ("إيجابي", "سلبي"),
    ("บวก", "ลบ"),
    ("긍정", "부정"),
    ("θετικό", "αρνητικό"),
    ("सकारात्मक", "नकारात्मक"),
    ("👍", "👎"),
    ("money-fx", "nat gas", "ad_hoc"),
    ("niño", "niña"),
    ("良い", "悪い"),
    ("OfficeHolder", "Artist"),
    ("c", "c++"),
)
choice_sets = st.sampled_from(LABELS).flatmap(lambda labels: st.tuples(st.just(labels), st.sampled_from(labels)))
values = st.decimals(min_value=-(10**9), max_value=10**9, places=2, allow_nan=False).map(lambda value: value.normalize() + 0)


def example(choices=(), target="-"):
    return Example("1", "Note: the red kettle came late\nTeam:", target, tuple(choices))


load = cache(metrics.load)


def scores(name, pairs):
    """(corpus score, scores of single examples)."""
    predictions, references = zip(*pairs, strict=True)
    metric = load(name)
    result = metric.compute(predictions=list(predictions), references=list(references), per_example=True, statistics=True)
    sums = np.array(result[f"{name}_statistics"])
    assert metric.aggregate(sums.sum(axis=0)) == pytest.approx(result[name])
    return result[name], result[f"{name}_per_example"]


@pytest.mark.parametrize("name", FREE)
@FEW
@given(st.lists(texts, min_size=1, max_size=4))
def test_gold_against_itself_is_right_in_every_script(name, targets):
    for parse in (parsers.text, parsers.first_line):
        read = [parse(target, example()) for target in targets]
        corpus, single = scores(name, [(target, target) for target in read])
        assert corpus == pytest.approx(1), read
        assert single == pytest.approx([1] * len(targets)), read


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2,50", "7,50"),
        ("1/8", "3/8"),
        ("10²", "102"),
        ("1.5", "15"),
        ("3", "-3"),
        ("x₁", "x1"),
        ("①", "1"),
        ("½", "1⁄2 x"),
        ("заказ", "отмена"),
        ("好评", "差评"),
        ("niño", "niña"),
        ("👍", "👎"),
        ("12:30", "1230"),
        ("?", "!"),
        ("สินค้า", "ช้ามาก"),
        ("07.01.2024", "07.02.2024"),
        ("10-66", "1066"),
        ("3–5", "35"),
    ],
)
def test_other_values_are_never_equal(name, one, other):
    for prediction, reference in ((one, other), (other, one)):
        corpus, single = scores(name, [(prediction, reference)])
        assert max(corpus, *single) < 1


@pytest.mark.parametrize("name", FREE)
@FEW
@given(texts)
def test_composed_and_decomposed_accents_are_equal(name, target):
    forms = {unicodedata.normalize(form, target) for form in ("NFC", "NFD")}
    for prediction in forms:
        for reference in forms:
            assert scores(name, [(prediction, reference)])[0] == pytest.approx(1)


FORMED = ["rouge1", "rouge2", "rougeL", "token_f1", "bleu", "chrf"]
SIGNS = ["a", "b", "c", "1", "5", "15", "1.5", "1/5", "-3", "3", "5%", "$5", "c++", "c#", "<", ">", "(", "好", "the", ",", "."]
marked_texts = st.lists(st.sampled_from(SIGNS), min_size=1, max_size=4)


@pytest.mark.parametrize("name", FORMED)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(marked_texts.map(" ".join), marked_texts.map("".join))
def test_texts_of_one_form_are_right_for_each_other_and_no_others_are(name, one, other):
    """So that `prepare` finds whatever a metric takes for one."""
    metric = load(name)
    forms = [metric.form(text) for text in (one, other)]
    values = [scores(name, [pair])[1][0] for pair in ((one, other), (other, one))]
    if None not in forms:
        assert (forms[0] == forms[1]) == (min(values) > 1 - 1e-9), values


def test_what_a_text_says_is_more_than_its_words():
    assert words.content("The  Cat, 'sat'!") == words.content("cat SAT") != words.content("sat cat")
    assert words.is_list("b, a")
    assert not words.is_list("1,5 a.")
    signs = ["5", "-5", "5%", "$5", "€5", "<5", "1.5", "1/5", "1 5", "15", "(5)", "5°", "c", "c++", "c#", "5!=6", "5=6"]
    assert len({words.content(text) for text in signs}) == len(signs)


def written(value, mark):
    """A number as people of that decimal mark write it, in several ways."""
    groups = {".": [",", "", "'", "\u202f"], ",": [".", "", " ", "\u00a0", "’"]}[mark]
    return [f"{value:,f}".replace(",", "G").replace(".", mark).replace("G", group) for group in groups]


@FEW
@given(
    values,
    st.sampled_from([".", ","]),
    st.sampled_from(["{}", "{} €", "${}", "The answer is {}.", "**{}**", "#### {}", "about {} kg", "= {}"]),
)
def test_a_number_is_read_in_every_format_of_its_mark(value, mark, frame):
    read = {parsers.number_in(mark)(frame.format(text), example()) for text in written(value, mark)}
    assert read == {numbers.read(f"{value:f}".replace(".", mark), mark)}
    (only,) = read
    assert numbers.as_float(only, mark) == pytest.approx(float(value), abs=1e-9)
    assert parsers.number_in(mark)(only, example()) == only


@FEW
@given(values, values)
def test_without_a_mark_a_number_is_right_or_not_read(one, other):
    for value in (one, other):
        for mark in (".", ","):
            for text in written(value, mark):
                read = parsers.number(text, example())
                assert read is None or numbers.as_float(read, None) == pytest.approx(float(value), abs=1e-9), text
    for text in ("1.234", "1,234", "999.000"):
        assert parsers.number(text, example()) is None


@pytest.mark.parametrize("text", ["10²", "10^2", "12:30", "2024-01-07", "07.01.2024", "1.2.3", "1,2,3", "3 Mio", "5万", "2,50,1"])
def test_what_is_no_plain_number_is_not_read(text):
    assert parsers.number(text, example()) is None


@pytest.mark.parametrize(
    ("texts", "read"),
    [
        (("2,50 €", "2.5", "2½", "5/2", "٢٫٥", "２.５", r"$\frac{5}{2}$", r"\boxed{2.5}"), "2.5"),
        (("9 234", "9'234", "9’234", "9\u202f234", "9234.0", "9 234,00"), "9234"),
        (("1.234,56", "1,234.56", "1 234,56", "1'234.56"), "1234.56"),
        (("1,23,456", "123456", "1.23456e5"), "123456"),
        (("-3", "\u22123", "-$3", "x = -3"), "-3"),
        (
            (
                "18",
                "It is 18.",
                "16 - 3 - 4 = 9 and 9 * 2 = 18",
                "The answer is 18 because 9 and 2 are given.",
                "Team: 18",
                "18\n\nQuestion: 5 and 6?",
                "18 dollars\nNote: the red kettle came 5 days late",
            ),
            "18",
        ),
    ],
)
def test_spellings_of_one_number(texts, read):
    assert {text: parsers.number(text, example()) for text in texts} == dict.fromkeys(texts, read)


FRAMES = (
    "{}",
    " {}\n",
    "{}.",
    "{}!",
    "**{}**",
    "`{}`",
    '"{}"',
    "“{}”",
    "- {}",
    "* {}",
    "({})",
    "Answer: {}",
    "Team: {}",
    "The answer is {}.",
    "the answer is: {}",
    "Final answer: {}",
    "{}\nNote: the blue chair came late\nTeam: other",
    "{}\n\nQuestion: what else?\nAnswer: none",
    "```\n{}\n```",
    "I'd say {}",
    "I would go with {}.",
    "It is hard to tell at first, and a careful reader's view is needed.\nThe answer is {}",
    "#### {}",
    r"\boxed{{{}}}",
    "I think the answer is {}, because it's clear.",
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(choice_sets, st.sampled_from(FRAMES), st.sampled_from([str, str.upper, str.title]), st.sampled_from([" ", "  ", "-", "_", "\n"]))
def test_a_choice_is_read_out_of_what_untuned_models_write(labelled, frame, case, blank):
    labels, label = labelled
    spelled = case(label) if len({name.casefold() for name in labels}) == len(labels) and len(label) > 1 else label
    text = frame.format(spelled.replace(" ", blank))
    assert parsers.choice(text, example(labels)) == label, text
    assert parsers.choice(label, example(labels)) == label


@FEW
@given(choice_sets, st.sampled_from(["{} or {}", "{}, {}", "{}/{}", "It could be {} and it could be {}."]))
def test_two_choices_are_none(labelled, frame):
    labels, label = labelled
    other = next(name for name in labels if name != label)
    assert parsers.choice(frame.format(label, other), example(labels)) is None


@pytest.mark.parametrize(
    ("labels", "text", "read"),
    [
        ("ABCD", "I'd say C", "C"),
        ("ABCD", "A careful reader picks B", "B"),
        ("ABCD", "It is a hard one: D", "D"),
        ("ABCD", "I'd go with (C).", "C"),
        ("ABCD", "That's a clear case of B", "B"),
        ("ABCD", "d) fine", "D"),
        ("ABCD", "Option A", "A"),
        ("ABCD", "Option A is right", "A"),
        ("ABCD", "Not B. C", "C"),
        ("ABCD", "A dog came", None),
        ("ABCD", "First, B is wrong.\nThen C is wrong too.\nThe answer is A.", "A"),
        ("ABCD", "It's B because A is wrong", "B"),
        ("ABCD", "I'd say A is wrong, so B", "B"),
        ("ABCD", "I would say B is incorrect.", None),
        ("ABCD", "The best answer is A or B", None),
        (["true", "false"], "This claim is not true.", None),
        ("ABCDEI", "I think so", None),
        (["好评", "差评"], "这是好评。", "好评"),
        (["好评", "差评"], "这不是好评。", None),
        (["是", "否"], "这是对的", None),
        (["positive", "negative"], "It isn't positive, it's negative", "negative"),
        (["positive", "negative"], "not positive", None),
        (["positive", "negative"], "Positive words occur, but the tone is negative", None),
        (["positive", "negative"], "Is it positive or negative? It is negative.", "negative"),
        (["yes", "no"], "No doubt: yes", "yes"),
        (["0", "1"], "1.5", None),
        (["0", "1"], "-1", None),
        *(("ABCD", text, None) for text in ("Vitamin D", "The patient has hepatitis C.", "Plan B", "Type A", "blood type A", "Malcolm D")),
        *(("ABCD", text, None) for text in ("Hepatitis B and C", "Vitamins A, B and D", "Answer: vitamin D", "B vitamins", "C major")),
        *(("1234", text, None) for text in ("Type 2 diabetes", "Sentence 1 says so", "Chapter 3")),
        ("ABCD", "Vitamin D is meant, so B", "B"),
        ("ABCD", "Hepatitis C is a virus.\nAnswer: B", "B"),
        *(
            ("ABCD", f"{word} B", "B")
            for word in ("Option", "Statement", "Choose", "Therefore", "Ich nehme", "Respuesta", "Выбираю", "My team:")
        ),
        *(("1234", f"{word} 2", "2") for word in ("Option", "Answer", "Team", "It is", "Probably")),
    ],
)
def test_choices_in_sentences(labels, text, read):
    assert parsers.choice(text, example(tuple(labels))) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        *((text, "yes") for text in ("Yes, true.", "Yes/True", "True, yes", "Yes (true)")),
        *((text, "no") for text in ("No, false", "No. It is not true.")),
        *((text, None) for text in ("Not true.", "It is not true that it rains.", "The statement is not false.", "Yes or false")),
    ],
)
def test_synonyms_agree_and_what_is_denied_is_no_answer(text, read):
    assert parsers.boolean(text, example()) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("-½", "-0.5"), ("2½", "2.5"), ("$2.5k", None), ("5M", None), ("5 km", "5"), ("#### 5 + 3 = 8", "8"), ("#### 5×10^3", None),
        ("Answer: 3 + 4 = 7 apples", "7"), ("9" * 2001, None),
    ],
)  # fmt: skip
def test_a_number_is_read_whole_or_not_at_all(text, read):
    assert parsers.number_in(".")(text, example()) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        *((text, None) for text in ("3 or 5", "It is 3 or 5.", "Answer: 3 or 5", "#### 3 or 5", "3 kg or 5 kg", "3或5", "3, or 5?")),
        *((text, None) for text in ("4, 3 or 5", "3-5", "3 – 5 kg", "from 3 to 5", "Answer: 3 to 5", "between 3 and 5", "3到5")),
        *((text, "5") for text in ("5 or 5.0", "5 or so", "3 or 4? No: 5", "3 - 1 = 2 or 3, so 5", "It fell from 3 to 2, so 5")),
        ("Answer: 5, not 3 or 4", "5"),
    ],
)
def test_of_two_numbers_of_which_one_is_meant_none_is_read(text, read):
    assert parsers.number_in(".")(text, example()) == read


@pytest.mark.parametrize("frame", ["答案是{}", "共有{}个", "价格是{}元。", "答えは{}です", "정답은{}입니다", "ราคา{}บาท", "1加4。答案：{}"])
@pytest.mark.parametrize("number", ["5", "-5", "12.5", "1,234.5"])
def test_a_number_needs_no_blank_after_a_script_without_blanks(frame, number):
    assert parsers.number_in(".")(frame.format(number), example()) == numbers.read(number, ".")
    for name in ("rouge1", "rougeL", "token_f1"):
        assert scores(name, [(frame.format("-5"), frame.format("5"))])[0] < 1


@pytest.mark.parametrize("text", ["2024年5月3日", "5月3日", "3時30分", "五百5", "2024년 5월 3일", "x5", "é5"])
def test_a_date_and_the_rest_of_a_numeral_are_no_number(text):
    assert parsers.number(text, example()) is None


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1" + "0" * 400])
def test_a_number_beyond_any_float_scores_nothing(text):
    assert metrics.load("mae_similarity").compute(predictions=[text], references=["3"])["mae_similarity"] == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.sampled_from([0.5, 3.0, -2.25]) | texts,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(st.sampled_from(["price", "name", "Größe", "цена", "x"]), json_values, min_size=1, max_size=4)


@pytest.mark.parametrize("name", ["json_field_f1", "exact_match", "accuracy"])
@FEW
@given(objects)
def test_an_object_equals_itself_in_every_spelling(name, value):
    gold = parsers.json(json.dumps(value), example())
    floats = {key: float(item) if type(item) is int else item for key, item in value.items()}
    spellings = [json.dumps(value), json.dumps(value, indent=2), f"```json\n{json.dumps(value)}\n```", repr(value), json.dumps(floats)]
    for text in spellings:
        read = parsers.json(f"Here it is: {text}", example())
        assert read == gold
        assert parsers.json(read, example()) == read
        assert scores(name, [(read, gold)]) == (pytest.approx(1), [pytest.approx(1)])


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ('{"p": 3}', '{"p": 3.0}', True),
        ('{"p": null}', '{"p": []}', True),
        ('{"p": null}', '{"p": "None"}', False),
        ('{"p": 3}', '{"p": -3}', False),
        ('{"p": 1.5}', '{"p": 15}', False),
        ('{"p": "10²"}', '{"p": "102"}', False),
        ('{"p": [3.0]}', '{"p": [3]}', True),
        ('{"p": true}', '{"p": 1}', False),
    ],
)
def test_values_of_json(one, other, equal):
    read = [parsers.json(text, example()) for text in (one, other)]
    assert scores("json_field_f1", [tuple(read)])[0] == float(equal)


def test_of_a_key_with_two_values_the_last_counts():
    for text in ('{"a": 1, "a": 2}', "{'a': 1, 'a': 2}"):
        assert parsers.json(text, example()) == '{"a": 2}'


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Topics: earn", "earn"),
        ("earn, trade", "earn, trade"),
        ("trade、earn", "earn, trade"),
        ("c++، c", "c, c++"),
        ("- earn\n- trade\n\nTitle: x", "earn, trade"),
        ("1. Earn\n2. Trade", "earn, trade"),
        ("**Topics:** earn, 'trade'.", "earn, trade"),
        ("earn\nTitle: next", "earn"),
    ],
)
def test_topics_as_models_list_them(text, read):
    assert parsers.topics(text, Example("1", "Title: a\nBody: b\n\nTopics:", "earn")) == read


@pytest.mark.parametrize("text", ["Rome", "Rome.", '"Rome"', "**Rome**", "Answer: Rome", "- Rome", "Team: Rome\nNote: next", "“Rome.”"])
def test_a_first_line_is_read_without_what_stands_around_it(text):
    assert parsers.first_line(text, example()) == "Rome"


@pytest.mark.parametrize("name", tasks.names())
@FEW
@given(texts)
def test_every_task_reads_idempotently(name, text):
    task = tasks.find(name)
    labels = task.choices or ("A", "B")
    once = task.answer(text, example(labels))
    assert once is None or task.answer(once, example(labels)) == once
