"""Every task on invented rows: its examples, prompts, cuts, answers and metrics."""

import csv
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import metrics
from pipeline.data import make_examples, task
from pipeline.data.files import BadRow
from pipeline.models import renderer
from pipeline.scoring import parsers
from pipeline.store.records import Example
from pipeline.tasks import dbpedia
from tests import preparing, task_rows

LORA_LAND = """
    arc_combined bc5cdr boolq conllpp covid customer_support dbpedia drop e2e_nlg glue_cola glue_mnli glue_mrpc glue_qnli glue_qqp glue_sst2
    glue_stsb glue_wnli gsm8k hellaswag hellaswag_processed jigsaw legal magicoder mmlu reuters tldr_content_gen tldr_headline_gen viggo
    webnlg wikisql winogrande
""".split()
ROOT = Path(__file__).parents[1]
NAMES = task.names()
ALL = pytest.mark.parametrize("name", NAMES)
LONG = "and so the letter went on and on " * 3100
"""More than 100,000 characters."""


@pytest.fixture(scope="module")
def task_examples():
    """The held-out and training examples of every task."""
    return {one.name: {split: task_rows.examples(one, split) for split in task_rows.SPLITS} for one in task_rows.every()}


def published(file):
    with (ROOT / "data" / "published" / file).open(newline="") as lines:
        return [*csv.DictReader(lines)]


def test_the_tasks_of_the_published_table_are_here():
    assert len(LORA_LAND) == 31
    assert {row["task"] for row in published("lora_land.csv")} == set(LORA_LAND)
    assert [name for name in NAMES if task.find(name).paper] == sorted(LORA_LAND)


@pytest.mark.parametrize("row", published("rows.csv"), ids=lambda row: row["task"])
def test_the_split_that_was_scored_is_held_out(row):
    one = task_rows.first(task.find(row["task"]), "heldout")
    assert one.split == row["split"]
    own = {"customer_support": None, "reuters": 3022, "webnlg": 1779, "magicoder": 164}  # what is less or unknown; see Paper.differs
    assert one.rows == own.get(row["task"], int(row["split_rows"]))


@ALL
def test_every_row_makes_an_example_with_an_id_of_its_own(name, task_examples):
    one = task.find(name)
    for split, examples in task_examples[name].items():
        assert len(examples) == len(task_rows.rows(one, split)) >= 2
        assert len({example.id for example in examples}) == len(examples)


@ALL
def test_a_prompt_ends_in_its_cue(name, task_examples):
    for example in task_examples[name]["heldout"] + task_examples[name]["train"]:
        assert example.prompt == example.prompt.strip()
        assert example.target == example.target.strip()


@ALL
def test_prompts_spell_words_as_dictionaries_do(name, task_examples):
    assert not any("news letter" in example.prompt.lower() for split in task_rows.SPLITS for example in task_examples[name][split])


@ALL
def test_the_parser_reads_targets_and_what_it_has_read(name, task_examples):
    one = task.find(name)
    for example in task_examples[name]["heldout"] + task_examples[name]["train"]:
        read = one.answer(example.target, example)
        assert read
        assert one.answer(read, example) == read
        assert read == example.target or (not example.choices and one.answer not in (parsers.text, parsers.first_line))
        assert one.answer("", example) is None


@ALL
def test_the_choices_hold_every_target(name, task_examples):
    one = task.find(name)
    for example in task_examples[name]["heldout"] + task_examples[name]["train"]:
        assert not example.choices or example.target in example.choices
        assert one.choices == (() if name == "arc_combined" else example.choices)
        assert bool(example.choices) == (one.answer is parsers.choice or one.answer is parsers.boolean)


@ALL
def test_targets_score_full_marks_and_other_answers_less(name, task_examples):
    one, examples = task.find(name), task_examples[name]["heldout"]
    targets = [example.target for example in examples]
    wrong = [next(other for other in targets[index:] + targets if other != right) for index, right in enumerate(targets)]
    assert task_rows.scores(one, examples, targets) == dict.fromkeys(one.metrics, pytest.approx(1.0))
    assert max(task_rows.scores(one, examples, wrong).values()) < 0.9
    assert max(task_rows.scores(one, examples, [""] * len(examples)).values()) == 0


@ALL
def test_the_metric_of_the_paper_is_among_the_metrics(name):
    one = task.find(name)
    assert {*one.metrics} <= {*metrics.names()}
    assert one.name == name
    assert not one.metrics[0].startswith("paper_")
    assert one.paper is None or (one.paper.metric in one.metrics and one.paper.tokens[0] <= one.paper.tokens[1])


@ALL
def test_a_long_prompt_keeps_question_and_cue(name, task_examples, model):
    render, example = renderer.renderer(model), task_examples[name]["heldout"][0]
    (counts,) = render.token_counts([(example.prompt, example.target)])
    limit = sum(counts) + 50
    start, end = example.extra.get("cut", (0, 0))
    long = LONG[:10_000]
    longer = replace(example, prompt=example.prompt[:start] + long + example.prompt[end:], extra={"cut": [start, start + len(long)]})
    (counts,) = render.token_counts([(longer.prompt, longer.target)])
    assert make_examples.fit_tokens(longer, counts, render, limit, "drop")[0] is None
    if not end:
        return
    assert 0 <= start < end < len(example.prompt)
    assert example.prompt[end:].strip()
    assert all(choice in example.prompt[:start] + example.prompt[end:] for choice in example.choices)
    cut, counts = make_examples.fit_tokens(longer, counts, render, limit, "cut_field")
    assert cut.prompt.startswith(example.prompt[:start])
    assert cut.prompt.endswith(example.prompt[end:])
    assert limit - 50 < sum(counts) <= limit
    assert "cut" not in cut.extra


PASSAGES = {
    "boolq": "passage", "covid": "OriginalTweet", "customer_support": "text", "dbpedia": "content", "drop": "passage",
    "glue_mnli": "premise", "glue_qnli": "sentence", "hellaswag": "ctx", "jigsaw": "comment_text", "legal": "clause_text",
    "reuters": "text",
}  # fmt: skip


@pytest.mark.parametrize("name", PASSAGES)
def test_what_may_be_cut_is_the_passage(name, task_examples):
    for example, row in zip(task_examples[name]["heldout"], task_rows.rows(task.find(name), "heldout"), strict=True):
        start, end = example.extra["cut"]
        assert example.prompt[start:end] == row[PASSAGES[name]].strip()


@pytest.mark.parametrize("name", [name for name in NAMES if task.find(name).preface])
def test_the_worked_examples_stand_in_every_prompt_and_are_not_trained_on(name, task_examples, model, tmp_path, monkeypatch):
    one, held = task.find(name), [task_rows.rows(task.find(name), split) for split in task_rows.SPLITS]
    task_rows.place(monkeypatch, name, tmp_path, *held)
    _, facts = preparing.prepare_both(name, tmp_path / "out", model, max_tokens=5000, max_bad_rows=0.5)
    examples = preparing.examples(tmp_path / "out" / "heldout") + preparing.examples(tmp_path / "out" / "train")
    preface = one.preface([task_examples[name]["train"][shot] for shot in one.shots])
    assert all(example.prompt.startswith(preface) and len(example.prompt) > len(preface) for example in examples)
    assert all(task_examples[name]["train"][shot].target in preface for shot in one.shots)
    assert facts["dropped"].get("shown in every prompt", 0) == len(one.shots)
    assert not {f"train-{shot + 1}" for shot in one.shots} & {example.id for example in examples}


@pytest.mark.parametrize(
    ("name", "column", "targets"),
    [
        ("boolq", "answer", {True: "yes", False: "no"}),
        ("dbpedia", "label", {0: "Company", 1: "EducationalInstitution", 8: "Village", 13: "WrittenWork"}),
        ("glue_cola", "label", {0: "0", 1: "1"}),
        ("glue_mnli", "label", {0: "0", 1: "1", 2: "2"}),
        ("glue_mrpc", "label", {0: "0", 1: "1"}),
        ("glue_qnli", "label", {0: "0", 1: "1"}),
        ("glue_qqp", "label", {0: "0", 1: "1"}),
        ("glue_sst2", "label", {0: "0", 1: "1"}),
        ("glue_stsb", "label", {0.0: "0.0", 5.0: "5.0", 3: "3.0", 3.799999952316284: "3.8", 2.333: "2.333"}),
        ("glue_wnli", "label", {0: "0", 1: "1"}),
        ("hellaswag", "label", {"0": "0", "1": "1", "2": "2", "3": "3"}),
        ("jigsaw", "toxic", {0: "no", 1: "yes", "0": "no", "1": "yes"}),
        ("mmlu", "answer", {0: "1", 1: "2", 2: "3", 3: "4"}),
        ("winogrande", "answer", {"1": "1", "2": "2"}),
    ],
)
def test_every_label_has_its_target(name, column, targets):
    examples = {value: task_rows.example_of(task.find(name), **{column: value}) for value in targets}
    assert {value: example.target for value, example in examples.items()} == targets


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("glue_qnli", "Answer 0 if the response answers"),
        ("glue_mnli", "0 if the premise entails the hypothesis, 2 if it contradicts it, 1 if neither"),
        ("glue_sst2", "0 for negative, 1 for positive"),
        ("glue_cola", "1 if the sentence is correct"),
        ("glue_mrpc", "1 if both mean the same"),
        ("glue_qqp", "1 if both ask the same"),
        ("boolq", "higher than the church?\nAnswer by the passage, with yes or no"),
        ("mmlu", "1: Mercury\n2: Venus\n3: Earth\n4: Mars"),
        ("hellaswag", '0: "freeze the rake."\n1: "wear the garden."'),
        ("winogrande", "1: soup\n2: stew"),
    ],
)
def test_a_prompt_says_what_the_labels_mean(name, words, task_examples):
    assert words in task_examples[name]["heldout"][0].prompt


def test_arc_keeps_the_labels_of_each_question(task_examples):
    choices = {example.target: example.choices for split in task_examples["arc_combined"].values() for example in split}
    assert choices == {"B": (*"ABCD",), "3": (*"1234",), "A": (*"ABCD",), "C": (*"ABC",), "1": (*"1234",)}
    assert "Reply with one of these labels only: 1, 2, 3, 4." in task_examples["arc_combined"]["heldout"][1].prompt


def test_classes_are_spelled_as_in_the_data_set(task_examples):
    from pipeline.metrics.paper_class_name.paper_class_name import CLASSES

    assert dbpedia.KINDS == CLASSES
    both = {
        name: {example.target for split in task_examples[name].values() for example in split}
        for name in ("covid", "reuters", "customer_support")
    }
    assert both["covid"] == {"Extremely Positive", "Positive", "Neutral", "Negative", "Extremely Negative"}
    assert both["reuters"] == {"cocoa", "interest, money-fx", "grain, wheat", "crude", "earn"}
    assert both["customer_support"] >= {"replace card", "check balance", "get branch hours"}


def test_examples_of_one_document_are_of_one_group(task_examples):
    def groups(name):
        return [example.group for split in ("heldout", "train") for example in task_examples[name][split]]

    first, second, third, *_ = groups("winogrande")
    assert first == second != third
    assert len({*groups("glue_mnli")}) == 3
    assert len({*groups("glue_wnli")}) == 5
    assert len({*groups("boolq")}) == 6
    assert groups("hellaswag")[:3] == ["invented~4", "invented~4", "invented~5"]


def test_stsb_reads_the_first_number_and_none_off_the_scale():
    one, example = task.find("glue_stsb"), Example("a", "", "")
    read = {text: one.answer(text, example) for text in ("3.50", " 4 out of 5", "Score: 2.", "6", "-1", "alike", "10\n4")}
    assert [*read.values()] == ["3.5", "4", "2", None, None, None, None]


FAULTS = {
    "boolq": [("answer", None, "missing field"), ("answer", 7, "bad value"), ("passage", " ", "bad value")],
    "dbpedia": [("label", 14, "bad value"), ("label", -1, "bad value"), ("title", None, "missing field")],
    "glue_cola": [("label", -1, "bad value"), ("label", None, "missing field"), ("sentence", "", "bad value")],
    "glue_stsb": [("label", -1.0, "bad value"), ("label", "alike", "bad value"), ("sentence2", None, "missing field")],
    "glue_mnli": [("label", 3, "bad value"), ("premise", None, "missing field")],
    "glue_qnli": [("label", "entailment", "bad value"), ("sentence", None, "missing field")],
    "glue_mrpc": [("label", -1, "bad value"), ("sentence1", 5, "bad value")],
    "glue_qqp": [("label", -1, "bad value"), ("question2", "", "bad value")],
    "glue_sst2": [("label", True, "bad value"), ("sentence", None, "missing field")],
    "glue_wnli": [("label", -1, "bad value"), ("sentence1", None, "missing field")],
    "mmlu": [("answer", 4, "bad value"), ("choices", ["a", "b"], "bad value"), ("choices", None, "missing field")],
    "winogrande": [("answer", "", "bad value"), ("answer", "3", "bad value"), ("option1", None, "missing field")],
    "arc_combined": [
        ("answerKey", "F", "bad value"),
        ("choices", None, "missing field"),
        ("choices", {"text": ["a", "b"], "label": ["A"]}, "bad value"),
        ("choices", {"label": ["A"]}, "missing field"),
    ],
    "hellaswag": [("label", "", "bad value"), ("endings", ["a"], "bad value"), ("ctx", None, "missing field")],
    "covid": [("Sentiment", "Glad", "bad value"), ("OriginalTweet", "", "bad value"), ("Sentiment", None, "missing field")],
    "jigsaw": [("toxic", 2, "bad value"), ("comment_text", None, "missing field"), ("toxic", None, "missing field")],
    "legal": [("clause_type", "", "empty target"), ("clause_text", "", "bad value"), ("clause_type", None, "missing field")],
    "reuters": [("topics", [], "empty target"), ("topics", None, "missing field"), ("topics", 3, "bad value")],
    "customer_support": [("task", "sing", "bad value"), ("task", None, "missing field"), ("text", None, "missing field")],
}
"""Of the first held-out row: a column, what stands there, and the reason by which it is counted."""


@pytest.mark.parametrize("name", FAULTS)
def test_rows_that_are_no_example_are_counted_by_reason(name, model, tmp_path, monkeypatch):
    good = task_rows.rows(task.find(name), "heldout")
    bad = [good[0] | {column: value} for column, value, _ in FAULTS[name]] + [{}]
    task_rows.place(monkeypatch, name, tmp_path, good, good + bad)
    facts = preparing.prepare_split(name, "heldout", tmp_path / "heldout", model, max_tokens=5000, max_bad_rows=0.9)
    assert facts["dropped"] == Counter([reason for *_, reason in FAULTS[name]] + ["missing field"])
    assert facts["selected"] == len(good)


@pytest.mark.parametrize(
    ("name", "column", "value", "message"),
    [
        ("glue_cola", "label", -1, "label is -1, and its labels are 0 to 1"),
        ("covid", "Sentiment", "Glad", "Sentiment is 'Glad', which is none of Extremely Positive, Positive, Neutral,"),
        ("boolq", "answer", 7, "answer is 7, where true or false is expected"),
        ("glue_stsb", "label", float("nan"), "label is nan, and likeness is 0 to 5"),
        ("glue_stsb", "label", "alike", "label is 'alike', and likeness is 0 to 5"),
        ("mmlu", "choices", ["a", "b"], "choices are 2, where 4 are expected"),
        ("dbpedia", "content", "", "content is '', where a text is expected"),
        ("legal", "clause_type", None, "clause_type is missing or null"),
    ],
)
def test_what_is_wrong_with_a_row_names_column_and_value(name, column, value, message):
    bad_row = task_rows.example_of(task.find(name), **{column: value})
    assert isinstance(bad_row, BadRow)
    assert bad_row.value.startswith(message)


@pytest.mark.parametrize(("how", "n_examples"), [("cut_field", 4), ("drop", 3)])
def test_a_passage_of_100_000_characters_is_cut_or_left_out(how, n_examples, model, tmp_path, monkeypatch):
    good = task_rows.rows(task.find("boolq"), "heldout")
    task_rows.place(monkeypatch, "boolq", tmp_path, good, [*good, good[1] | {"passage": LONG}])
    facts = preparing.prepare_split("boolq", "heldout", tmp_path / "out", model, max_tokens=250, long_prompts=how, max_bad_rows=0.5)
    assert (facts["selected"], facts["cut"], facts["dropped"].get("too long", 0)) == (n_examples, n_examples - 3, 4 - n_examples)
    examples = preparing.examples(tmp_path / "out")
    assert all(example.prompt.startswith("Passage: ") and example.prompt.endswith("yes or no only.\nAnswer:") for example in examples)
    assert facts["tokens"]["prompt"]["max"] <= 250
