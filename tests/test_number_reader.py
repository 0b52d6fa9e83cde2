"""Numbers are read as a careful reader reads them: fractions, scales, sums and ranges, in prose and in scripts without blanks."""

import time

import pytest

from pipeline import metrics
from pipeline.data import inline
from pipeline.metrics import numbers
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks import glue_stsb
from tests import preparing

RATE = "How alike are they? Answer with a number from 0 (not at all) to 5 (the same).\nScore:"


def read(text, prompt="Note: the red kettle came late\nTeam:"):
    return parsers.number_in(".")(text, Example("1", prompt, "-"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("25/4", "6.25"),
        ("12/5", "2.4"),
        ("10/20", "0.5"),
        ("22/7", "22/7"),
        (r"The answer is $\frac{25}{4}$.", "6.25"),
        (r"\boxed{\frac{11}{2}}", "5.5"),
        (r"3\frac{1}{2}", "3.5"),
        (r"-1\frac12", "-1.5"),
        ("12½", "12.5"),
        ("1 2/5", "1.4"),
    ],
)
def test_a_fraction_is_not_torn_apart(text, value):
    assert read(text) == value


@pytest.mark.parametrize("text", ["1.5/2", "$.50/2", "so it is $2.50/5", "1.5'6", "0.1:2", "a rate of 7.2/8 litres"])
@pytest.mark.parametrize("mark", [".", ",", None])
def test_a_decimal_with_another_sign_behind_it_is_no_number(text, mark):
    assert parsers.number_in(mark)(text, Example("1", "How much?", "-")) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7 out of 10", "7"),
        ("I'd say 7 points out of 10.", "7"),
        ("3 of 14 are left", "3"),
        ("On a scale from 0 to 5, I'd say 4.", "4"),
        ("I would rate it 4 on a scale of 0 to 5", "4"),
        ("4 (0-5 scale)", "4"),
    ],
)
def test_what_a_number_is_a_part_of_is_not_the_answer(text, value):
    assert read(text) == value


@pytest.mark.parametrize("text", ["On a scale from 0 to 5, I'd say 4.", "4 out of 5", "I rate it 4 on a scale of 0 to 5"])
def test_a_scale_in_a_whole_text_is_no_distance(text):
    metric = metrics.load("mae_similarity")
    assert metric.compute(predictions=[text], references=["4"])["mae_similarity"] == 1


@pytest.mark.parametrize("text", ["I think 3. No, 4.", "Both name 3 dogs. Score: 4", "4\n\nBoth have 2 people.", "4/5"])
def test_a_task_of_distances_alone_reads_its_number_as_the_number_parser_does(text):
    task = inline.build_task(preparing.task(metrics=["mae_similarity"]))
    assert task.answer(text, Example("1", RATE, "4")) == "4"
    assert inline.build_task(preparing.task(metrics=["mae_similarity", "rougeL"])).answer(text, Example("1", RATE, "4")) == text


@pytest.mark.parametrize("text", ["4/5", "4.0/5.0", "Score: 4/5", "The score is 4/5, as sentence 1 says more.", "Their score: **4**/5"])
def test_a_share_of_the_scale_that_the_prompt_names_is_a_point_on_it(text):
    assert read(text, RATE) == "4"
    assert read("4/5") == "0.8"
    assert read("3/4", RATE) == "0.75"


@pytest.mark.parametrize(
    "text",
    [
        "4",
        "Score: 4",
        "4.0/5",
        "On a scale from 0 to 5, I would rate their likeness 4.",
        "Sentence 1 and Sentence 2 are much alike. Score: 4",
        "Sentence 1 is shorter than Sentence 2, so I'd rate this 4",
        "4\n\nSentence 1: a man plays. Sentence 2: 2 men play.",
    ],
)
def test_stsb_reads_the_score_and_neither_scale_nor_number_of_a_sentence(text):
    assert glue_stsb.answer(text, Example("1", RATE, "4.0")) == "4"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18 = 9 * 2", "18"),
        ("x = 18 = 9*2", None),
        ("18 = 9 eggs * $2", "18"),
        ("The answer is 3 times 4, which is 12.", "12"),
        ("The answer is 12, which is 3 times 4.", "12"),
        ("The answer is not 13 but 12.", "12"),
        ("16 - 3 - 4 = 9 and 9 * 2 = 18", "18"),
        ("Answer: 3 + 4", None),
        ("So it is 9 * 2", None),
        ("3x4", None),
    ],
)
def test_a_sum_is_what_it_comes_to(text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    "text", ["12-13", "12–13 people", "12 to 13", "about 12 or 13", "between 12 and 13", "1, 2, 3", "[4, 5]", "(555) 123-4567", "5 ± 1"]
)
def test_of_a_range_or_a_list_nothing_is_read(text):
    assert read(text) is None


@pytest.mark.parametrize(("text", "value"), [("It rose from 3 to 5, so by 2", "2"), ("first 3, then 4", None), ("5 or more", "5")])
def test_the_last_number_counts_only_behind_a_conclusion(text, value):
    assert read(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("一共12个苹果。", "12"), ("答案是12", "12"), ("答えは12です", "12"), ("คำตอบคือ12", "12"), ("답은12개", "12"), ("温度是-3", "-3")],
)
def test_a_number_right_after_a_letter_of_a_script_without_blanks_is_read(text, value):
    assert read(text) == value


@pytest.mark.parametrize("text", ["the answer is " * 2000, "1," * 3000, "5 out of " * 2000, "1 = " * 1500])
def test_endless_text_is_read_in_bounded_time(text):
    start = time.process_time()
    read(text)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Price: 3\nPens: 4\nTotal: 12", None),
        ("**Price:** $3\n**Pens:** 4\n**Total:** $12", None),
        ("Total: 12\nPrice: 3\nPens: 4", None),
        ("Price: 3\nPens: 4\nSo it is 12.", "12"),
        ("Price: 3\nPens: 4", None),
        ("Price: 3\nPens: 4\nThanks!", None),
        ("Price: 12\nCost: 12", "12"),
        ("Price: 12\nThis is because 4 pens cost 3 each.", None),
        ("It costs 12 dollars for 4 pens.", "12"),
        ("She pays 12 dollars for the 4 pens.", "12"),
        ("4 pens cost 12 dollars.", "12"),
        ("4 pens are sold for 12 dollars.", "12"),
        ("Each of the 4 pens costs 3.", "3"),
    ],
)
def test_labels_and_what_the_question_gives_are_no_answer(text, value):
    assert parsers.number(text, Example("1", "A pen costs 3 dollars. How much do 4 pens cost?", "12")) == value


CLIPS = "She sold 48 clips in April and half as many in May. How many did she sell in all?\nAnswer:"


@pytest.mark.parametrize(
    "text",
    [
        "72 clips were sold in April and May 2023.",
        "She sold 72 clips in 2023.",
        "It is 72, not 71.",
        "Es sind 72, nicht 71.",
        "Ce sont 72, pas 71.",
        "The shop sold 72 instead of 71.",
        "Step 1: 48/2=24\nStep 2: 48+24=72\nStep 3: Done",
        "1. 48/2=24\n2. 48+24=72\n3. Done",
        "72 in all\nIt is not 71.",
    ],
)
def test_what_is_beside_the_point_is_no_answer(text):
    assert parsers.number_in(".")(text, Example("1", CLIPS, "72")) == "72"


@pytest.mark.parametrize(
    "text",
    [
        "She sold 72 clips in all (48 in April and 24 in May).",
        "48 + 24 = 72 clips in 2 months",
        "72, up from 24",
        "There are 72 because she sold 24 in May.",
        "So it is 48 (and 72 in all).",
    ],
)
def test_a_remark_with_another_number_leaves_a_text_unread(text):
    """What a remark is rests on the meaning of its words."""
    assert parsers.number_in(".")(text, Example("1", CLIPS, "72")) is None


def test_a_number_that_is_denied_and_no_other_is_not_read():
    assert read("It is not 72.") is None
    assert read("not 71 but 72") == "72"
    assert read("It was founded on September 4, 1998.") == "1998"
    assert read("5 brothers founded it in 1998.", "When was it founded?\nAnswer:") == "1998"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("minus 5", "-5"),
        ("negative 5 degrees", "-5"),
        ("The temperature is minus $5.50.", "-5.5"),
        ("3 minus 5 equals minus 2", "-2"),
        ("минус 5", "-5"),
        ("moins 5", "-5"),
        ("零下5度", "-5"),
        ("マイナス5", "-5"),
        ("5 degrees below zero", "-5"),
        ("5 Grad unter Null", "-5"),
        ("USD10", "10"),
        ("au moins 5", "5"),
        ("más o menos 5", "5"),
        ("10 minus 3", None),
        ("between minus 5 and 5", None),
    ],
)
def test_a_word_for_the_sign_is_a_sign(text, value):
    assert read(text) == value


def test_a_word_that_means_a_sign_elsewhere_is_none():
    assert [number.value for number in numbers.find("胜3负5", ".")] == ["3", "5"]
