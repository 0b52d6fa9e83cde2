"""Every shipped task on generated targets: gold scores 1 however a model frames it, and a target of another value never does."""

import json
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.data import task as tasks
from pipeline.metrics.words import normalise
from pipeline.scoring import parsers, scoring
from pipeline.store.records import Prediction
from tests import task_rows
from tests.test_score_properties import load, objects, texts
from tests.test_set_score_properties import WORDS, entities, labels, queries, query

FEW = settings(max_examples=6, deadline=None, derandomize=True)
NAMES = [name for name in tasks.names() if "pass_at_1" not in tasks.find(name).metrics]
"""Programs are run, see test_pass_at_k.py."""
TAGS = ("B-Chemical", "B-Disease", "I-Disease", "I-Chemical")
numbers = st.integers(-(10**6), 10**6)
scores = st.integers(0, 500).map(lambda value: str(value / 100))
spans = st.lists(st.sampled_from([word for word in WORDS if normalise(word)]), min_size=1, max_size=3, unique_by=normalise)
lines = texts.filter(lambda text: bool(normalise(text)))


@cache
def fixture(name):
    """The first invented held-out example."""
    return replace(task_rows.examples(tasks.find(name))[0], group=None)


def example(name, target):
    """An example of a task with this target, which stands in no prompt; a list stands for the spans that answer a question of drop."""
    if isinstance(target, list):
        extra = {"tests": json.dumps([target])}
        return replace(fixture(name), target=", ".join(target), extra=extra)
    return replace(fixture(name), target=target, extra={})


def targets(name):
    """Targets of the kind that a task has."""
    task, first = tasks.find(name), fixture(name)
    if first.choices:
        return st.sampled_from(first.choices)
    special = {
        "reuters": labels.map(", ".join),
        "wikisql": queries.map(query),
        "drop": spans,
        "legal": st.lists(st.sampled_from(["governing", "laws", "no", "waiver", "cap"]), min_size=1, max_size=3).map("-".join),
        "glue_stsb": scores,
        "gsm8k": numbers.map(lambda value: f"{value // 3} + {value - value // 3} = {value}\n#### {value:,}"),
        "conllpp": entities.map(json.dumps),
        "bc5cdr": entities.map(lambda value: repr(dict(zip(TAGS, value.values(), strict=True)))),
        "shop_extraction": objects.map(json.dumps),
    }  # fmt: skip
    assert name in special or task.answer is parsers.text, name
    return special.get(name, lines)


def strict(task):
    return [name for name in task.metrics if not name.startswith("paper_")]


def scored(name, examples, answers):
    """By metric, (corpus score, scores of the examples), as the comparison computes them."""
    task = tasks.find(name)
    numbered = [replace(one, id=str(number)) for number, one in enumerate(examples)]
    predictions = [Prediction(one.id, text, 1, "eos") for one, text in zip(numbered, answers, strict=True)]
    arm = scoring.read_arm("model", predictions, numbered, task.answer)
    results = {}
    for metric in strict(task):
        measured = scoring.measure(load(metric), [arm], numbered, task.answer)
        statistics = measured.statistics[0]
        results[metric] = (float(measured.metric.aggregate(statistics.sum(axis=0))), measured.metric.values(statistics))
    return results


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(data=st.data())
def test_gold_is_right_however_a_model_frames_it(name, data):
    task, gold = tasks.find(name), data.draw(st.lists(targets(name), min_size=1, max_size=3))
    examples = [example(name, target) for target in gold]
    read = [task.answer(one.target, one) for one in examples]
    assume(None not in read)  # `prepare` counts such targets and leaves them out
    prompt = fixture(name).prompt
    cue = prompt.rpartition("\n")[2] if len(prompt.rpartition("\n")[2]) < 30 else ""
    frames = ["{}", " {}\n"]
    if task.answer is not parsers.text:
        frames += ["{}\n\nQuestion: what else?\nAnswer: nothing", f"{cue} {{}}".strip(), f"{{}}\n\n{prompt[:200]}"]
        frames += ["**{}**", "{}."] if fixture(name).choices or name in ("legal", "reuters") else []
    for frame in frames:
        answers = [frame.replace("{}", one.target) for one in examples]
        for metric, (corpus, values) in scored(name, examples, answers).items():
            assert corpus == pytest.approx(1), (metric, answers)
            assert values == pytest.approx(np.ones(len(examples))), (metric, answers)


def meaning(name, answer):
    """What two answers that say the same have in common."""
    if name in ("gsm8k", "glue_stsb"):
        return float(answer)
    if name in ("conllpp", "bc5cdr", "shop_extraction"):
        lists = {key: value if isinstance(value, list) else [value] for key, value in json.loads(answer).items() if value}
        return {key: sorted(normalise(str(part)) for part in parts) for key, parts in lists.items()}
    if tasks.find(name).answer is parsers.text:  # ROUGE is of words
        return frozenset(re.findall(r"\w+", answer.casefold()))
    return frozenset(normalise(answer).split())


@pytest.mark.parametrize("name", NAMES)
@FEW
@given(data=st.data())
def test_another_target_is_never_right(name, data):
    task = tasks.find(name)
    one, other = (example(name, data.draw(targets(name))) for _ in range(2))
    values = [task.answer(which.target, which) for which in (one, other)]
    assume(None not in values)
    assume(meaning(name, values[0]) != meaning(name, values[1]))
    for metric, (corpus, (value,)) in scored(name, [one], [other.target]).items():
        assert max(corpus, value) < 1, (metric, one.target, other.target)
