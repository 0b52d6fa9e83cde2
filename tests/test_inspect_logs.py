"""Logs of Inspect, made by its own library, are compared by the scores of their scorers, paired by the ids of samples."""

import gc
import json
from pathlib import Path

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai import Task, eval_async
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import read_eval_log
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, Target, accuracy, includes, match, mean, scorer
from inspect_ai.solver import TaskState, generate

from pipeline.commands import recompute_page
from pipeline.commands.score_recipe import ScoreRequest, with_predictions
from pipeline.data import inspect_logs, prediction_files
from pipeline.errors import ComparisonError, DataError, RecipeError
from tests.test_score import score, write_jsonl

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]
COUNT = 12
WORDS = ("no", "yes")
CONVERSATION = [ChatMessageSystem(content="Answer in one word."), ChatMessageUser(content="Is 4 even?")]
SAMPLES = [
    *(Sample(id=f"q{n}", input=f"Is {n} even?", target=WORDS[n % 2 == 0], metadata={"digit": n % 10}) for n in range(COUNT - 2)),
    Sample(id=10, input=CONVERSATION, target=["yes", "Yes"]),
    Sample(id=11, input="Which is even?" + " Think." * 300, choices=["one", "two"], target=""),
]


@scorer(metrics={"*": [mean()]})
def shape():
    """Two values to each answer, and a length that lies beyond 1."""

    async def judge(state: TaskState, target: Target) -> Score:
        text = state.output.completion
        return Score(value={"short": float(len(text) < 3), "half": 0.5, "length": 7 + len(text)})

    return judge


@scorer(metrics=[accuracy()])
def undecided():
    async def judge(state: TaskState, target: Target) -> Score:
        return Score.unscored() if state.sample_id == "q3" else Score(value="P")

    return judge


def answer(text, number, stop):
    output = ModelOutput.from_content("mockllm/model", text, stop_reason=stop)
    output.usage = ModelUsage(input_tokens=9, output_tokens=number + 1, total_tokens=10 + number)
    return output


def write_log(path, texts, scorers=None, samples=SAMPLES, task="even", **options):
    """A log of one run, in the format of the path's suffix; answer number 5 is cut off. Texts may be errors."""
    import anyio

    answers = iter(answer(text, number, "max_tokens" if number == 5 else "stop") for number, text in enumerate(texts))

    def reply(*_):
        output = next(answers)
        if output.completion == "raise":
            raise ValueError("the server is gone")
        return output

    log_task = Task(dataset=MemoryDataset(samples), solver=generate(), scorer=scorers or [match()], name=task)

    async def run():
        model = get_model("mockllm/model", custom_outputs=reply)
        settings = {"log_dir": str(path.parent / "logs"), "log_format": path.suffix[1:], "max_connections": 1, "max_samples": 1}
        return await eval_async(log_task, model=model, **settings, **options)

    [log] = anyio.run(run)
    gc.collect()  # streams that Inspect leaves open warn in the test that made them
    Path(log.location).rename(path)
    return path


def texts(right):
    """The answers, of which those with these numbers are right."""
    return [WORDS[(n % 2 == 0) == (n in right)] for n in range(COUNT)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_log(tmp_path / "base.eval", texts({0, 1, 2}))
    return tmp_path


def of_logs(*files, **options):
    return score("base=base.eval", *files, data=None, **{"metric": None, **options})


@pytest.mark.parametrize("suffix", ["eval", "json"])
def test_scores_are_those_of_the_scorer(suffix, folder):
    write_log(folder / f"tuned.{suffix}", texts(set(range(8))))
    expected = [read_eval_log(name).results.scores[0].metrics["accuracy"].value for name in ("base.eval", f"tuned.{suffix}")]
    place, report = of_logs(f"tuned=tuned.{suffix}")
    [cell] = report["cells"]
    [one] = cell["comparisons"]
    assert (cell["task"], one["metric"], one["n"], one["base"], one["tuned"]) == ("even", "inspect_ai/match", 12, *expected)
    assert {row["paired_by"] for row in cell["predictions"]} == {"ids of samples"}
    assert {row["format"] for row in cell["predictions"]} == {"Inspect log"}
    counts = {row["arm"]: (row["truncated"], row["mean_tokens"]) for row in cell["answers"]}
    assert list(counts.values()) == [(1, 6.5)] * 2
    assert recompute_page.verify(place.page).comparisons == 1
    examples = {row["id"]: row for row in map(json.loads, next(Path("data/compare").glob("*/examples.jsonl")).open())}
    assert len(examples) == COUNT
    by_target = {row["target"]: row["prompt"] for row in examples.values()}
    assert [turn["content"] for turn in by_target['["yes", "Yes"]']] == [one.content for one in CONVERSATION]
    assert by_target[""] == "Which is even?" + " Think." * 300 + "\n\nA) one\nB) two"


def test_of_several_scores_one_is_named(folder):
    scorers = [match(), includes(), shape()]
    for name, right in (("one.eval", {1}), ("other.eval", {1, 2})):
        write_log(folder / name, texts(right), scorers)
    with pytest.raises(RecipeError, match=r"one\.eval has 4 scores: match, includes, shape\.short, shape\.half\."):
        score("base=one.eval", "tuned=other.eval", data=None, metric=None)
    _, report = score("base=one.eval", "tuned=other.eval", data=None, metric="shape.short")
    names = [one["metric"] for one in report["cells"][0]["comparisons"]]
    assert names == [f"inspect_ai/{name}" for name in ("shape.short", "match", "includes", "shape.half")]
    with pytest.raises(RecipeError, match="has no score 'length'"):
        score("base=one.eval", "tuned=other.eval", data=None, metric="length")


def test_our_metrics_read_the_answers_where_test_rows_are_named(folder):
    rows = [{"id": sample.id, "prompt": f"Is {n} even?", "completion": WORDS[n % 2 == 0]} for n, sample in enumerate(SAMPLES)]
    write_jsonl(folder / "test.jsonl", rows)
    write_log(folder / "tuned.eval", texts({5, 6}))
    _, report = score("base=base.eval", "tuned=tuned.eval")
    [cell] = report["cells"]
    assert (cell["comparisons"][0]["metric"], cell["comparisons"][0]["tuned"]) == ("accuracy", 2 / 12)
    assert {row["paired_by"] for row in cell["predictions"]} == {"id"}


def test_samples_that_ended_with_an_error_are_no_answers(folder):
    answers = texts(set(range(8)))
    write_log(folder / "tuned.eval", [*answers[:2], "raise", *answers[3:]], fail_on_error=False)
    with pytest.raises(DataError) as error:
        of_logs("tuned=tuned.eval")
    assert error.value.problem == (
        "tuned.eval: 1 test row without an answer (first: q2) (1 of its samples ended with an error, the first with: "
        "ValueError('the server is gone')); paired by ids of samples."
    )
    _, report = of_logs("tuned=tuned.eval", pairing={"common_rows": True})
    one = report["cells"][0]["comparisons"][0]
    assert (one["n"], one["base"]) == (11, 3 / 11)  # of the four that Inspect counts, q2 is one
    assert [line for line in report["warnings"] if "1 of 12 test rows are left out" in line]
    (folder / "base.eval").rename(folder / "whole.eval")  # and of the base, whose log says what the test rows are
    (folder / "tuned.eval").rename(folder / "base.eval")
    with pytest.raises(DataError, match=r"base\.eval: 1 test row without an answer \(first: q2\)"):
        of_logs("tuned=whole.eval")


def test_a_limit_cuts_an_answer_off(folder):
    write_log(folder / "tuned.eval", texts({1}), token_limit=15)
    rows = inspect_logs.read_rows(folder / "tuned.eval")
    ended = {row["id"]: row["stopped"] for row in rows}
    assert [ended[f"q{number}"] for number in range(4)] == ["eos"] * 4
    assert {ended[10], ended[11], ended["q9"]} == {"length"}


def other_targets():
    return [sample.model_copy(update={"target": "maybe"}) if sample.id == "q4" else sample for sample in SAMPLES]


def other_inputs():
    return [sample.model_copy(update={"input": "Is it odd?"}) if sample.id == "q4" else sample for sample in SAMPLES]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "odd"}, r"tuned\.eval is a log of the task odd, and base\.eval of even"),
        ({"samples": SAMPLES[:9]}, r"3 test rows without an answer \(first: 10, 11, q9\); paired by ids of samples"),
        ({"samples": [*SAMPLES, Sample(id="q99", input="?")]}, r"1 answer to no test row \(first: q99\)"),
        ({"samples": other_inputs()}, r"1 of 12 samples have another input than in base\.eval \(first: q4\)"),
        ({"samples": other_targets()}, r"1 of 12 samples have another target than in base\.eval \(first: sample q4\)"),
        ({"epochs": 2}, r"tuned\.eval has 2 epochs"),
        ({"scorers": [includes()]}, "12 of 24 answers have no score 'match' of Inspect"),
        ({"scorers": [undecided()]}, "12 of 24 answers have no score 'match' of Inspect"),
        ({"score": False}, "12 of 24 answers have no score 'match' of Inspect"),
    ],
)
def test_what_is_no_pair_of_logs_ends_in_one_line(options, words, folder):
    write_log(folder / "tuned.eval", [*texts({1}), "yes"] * 2, **options)
    with pytest.raises((DataError, ComparisonError), match=words) as error:
        of_logs("tuned=tuned.eval")
    assert "\n" not in error.value.problem


@pytest.mark.parametrize("suffix", ["eval", "json"])
def test_a_log_of_a_run_that_stopped_is_unfinished(suffix, folder):
    answers = texts({1})
    path = write_log(folder / f"tuned.{suffix}", [*answers[:3], "raise", *answers[4:]])
    with pytest.raises(DataError, match=r"is unfinished \(status error\): 3 of 12 samples are done") as error:
        of_logs(f"tuned={path.name}")
    assert error.value.remedy == f"Finish it: inspect eval-retry tuned.{suffix}"


def test_a_log_without_samples_or_scores_is_refused(folder):
    write_log(folder / "empty.eval", texts({1}), log_samples=False)
    with pytest.raises(DataError, match=r"empty\.eval holds no samples"):
        of_logs("tuned=empty.eval")
    write_log(folder / "undecided.eval", texts({1}), [undecided()])
    with pytest.raises(DataError, match=r"no score between 0 and 1 for each of its 12 samples \(its scores: undecided of 11\)"):
        with_predictions(ScoreRequest(("base=undecided.eval", "tuned=base.eval")), {})


def test_a_broken_log_ends_in_one_line(folder):
    whole = (folder / "base.eval").read_bytes()
    (folder / "tuned.eval").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"tuned\.eval cannot be read as a log of Inspect") as error:
        of_logs("tuned=tuned.eval")
    assert "\n" not in error.value.problem


def test_other_json_is_no_log_and_a_folder_stands_for_its_only_log(folder):
    (folder / "rows.json").write_text('{"version": 2, "rows": []}', "utf-8")
    assert not inspect_logs.is_log(folder / "rows.json")
    (folder / "out").mkdir()
    (folder / "base.eval").rename(folder / "out" / "a.eval")
    assert prediction_files.locate("out").name == "a.eval"
    write_log(folder / "out" / "b.eval", texts({1}))
    with pytest.raises(DataError, match=r"out has 2 logs: a\.eval, b\.eval"):
        prediction_files.locate("out")
