"""What `lm_eval --log_samples` writes is compared by its own scores, document by document, and paired by the hashes of documents."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.commands import recompute_page
from pipeline.commands.score_recipe import ScoreRequest, with_predictions
from pipeline.data import lm_eval_samples, prediction_files
from pipeline.errors import ComparisonError, DataError, RecipeError
from tests import preparing, test_harness_parity
from tests.test_score import score

FILTERS = ("strict", "loose")


def row(number, name="strict", score=1.0, **changes):
    """A row as lm-eval writes it."""
    own = {
        "doc_id": number, "doc": {"question": f"What is {number}?", "answer": str(number)}, "target": str(number),
        "arguments": {"gen_args_0": {"arg_0": f"Q: {number}\nA:", "arg_1": {"until": ["\n"]}}},
        "resps": [[f"It is {number}"]], "filtered_resps": [str(number)], "filter": name, "metrics": ["exact_match"], "exact_match": score,
    }  # fmt: skip
    return own | changes


def rows(right, filters=FILTERS):
    """A row for each of ten documents and each filter; all are right by the filter `loose`."""
    return [
        row(number, name, float(number in right or (name == filters[-1] and name != "strict"))) for name in filters for number in range(10)
    ]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    preparing.write_file(tmp_path / "samples_sums_2026-01-01T00-00-00.jsonl", rows({1, 2}))
    return tmp_path


BASE = "base=samples_sums_2026-01-01T00-00-00.jsonl"


def of_samples(*files, **options):
    return score(BASE, *files, data=None, **{"metric": None, **options})


def test_scores_of_all_filters_are_compared_and_the_first_judges(folder):
    preparing.write_file(folder / "tuned.jsonl", rows({1, 2, 3, 4, 5})[::-1])
    _, report = of_samples("tuned=tuned.jsonl")
    [cell] = report["cells"]
    figures = {one["metric"]: (one["base"], one["tuned"], one["n"]) for one in cell["comparisons"]}
    assert figures == {"lm_eval/exact_match,strict": (0.2, 0.5, 10), "lm_eval/exact_match,loose": (1.0, 1.0, 10)}
    assert (cell["task"], cell["comparisons"][0]["metric"]) == ("sums", "lm_eval/exact_match,strict")
    assert {one["paired_by"] for one in cell["predictions"]} == {"hashes of documents"}
    _, report = of_samples("tuned=tuned.jsonl", metric="exact_match,loose")
    assert report["cells"][0]["comparisons"][0]["metric"] == "lm_eval/exact_match,loose"
    with pytest.raises(RecipeError, match="has no score 'acc'"):
        of_samples("tuned=tuned.jsonl", metric="acc")


def test_targets_that_are_all_one_say_nothing(folder):
    """IFEval and TruthfulQA have a 0 in their place; where a metric of ours judges, nothing could be told apart."""
    for target in ("0", " ", ""):
        for name, right in (("base.jsonl", {1, 2}), ("tuned.jsonl", {1, 2, 3, 4})):
            preparing.write_file(folder / name, [{**one, "target": target} for one in rows(right)])
        _, report = score("base=base.jsonl", "tuned=tuned.jsonl", data=None, metric=None)
        [primary, _] = report["cells"][0]["comparisons"]
        assert (primary["base"], primary["tuned"]) == (0.2, 0.4)
    preparing.write_file(folder / "test.jsonl", [{"prompt": str(number), "completion": "0"} for number in range(10)])
    with pytest.raises(DataError, match="all 10 targets are"):
        score("base=base.jsonl", "tuned=tuned.jsonl", data="test.jsonl", metric="exact_match")


def test_graded_scores_of_one_of_several_variants_are_not_counted_as_right_or_wrong(folder):
    """Of the first variant every score is 0 or 1, of the second none; the pair is no McNemar test, which sees who won, not by how much."""
    documents = range(60)
    scores = {"base": lambda n: float(n % 3 == 0), "first": lambda n: float(n % 2 == 0), "second": lambda n: 0.05 if n % 2 else 0.4}
    for name, of in scores.items():
        preparing.write_file(folder / f"{name}.jsonl", [row(number, score=of(number)) for number in documents])
    _, report = score("base=base.jsonl", "first=first.jsonl", "second=second.jsonl", data=None, metric=None)
    [pair] = report["variants"][0]["pairs"]
    assert pair["lift"] == pytest.approx(-0.275)
    assert (pair["test"], pair["fixed"], pair["broken"]) == ("paired randomization", 30, 30)
    assert pair["p"] < 0.01
    assert pair["high"] < 0


def test_equal_documents_are_told_apart_by_their_number(folder):
    same = {"doc": {"question": "What?", "answer": "1"}}
    preparing.write_file(folder / BASE.partition("=")[2], [row(0, **same), row(1, score=0.0, **same), row(2)])
    preparing.write_file(folder / "tuned.jsonl", [row(1, **same), row(2), row(0, score=0.0, **same)])
    _, report = of_samples("tuned=tuned.jsonl")
    one = report["cells"][0]["comparisons"][0]
    assert (one["base"], one["tuned"], one["fixed"], one["broken"]) == (2 / 3, 2 / 3, 1, 1)


def test_other_documents_of_the_same_number_are_no_pair(folder):
    preparing.write_file(folder / "tuned.jsonl", [*rows({1}, ("strict",))[:9], row(9, doc={"question": "What else?"})])
    preparing.write_file(folder / BASE.partition("=")[2], rows({1}, ("strict",)))
    with pytest.raises(DataError, match=r"1 test row without an answer .*, 1 answer to no test row .*; paired by hashes of documents"):
        of_samples("tuned=tuned.jsonl")


def test_a_document_that_is_answered_twice_is_seen(folder):
    preparing.write_file(folder / "tuned.jsonl", [*rows({1}), row(3)])
    with pytest.raises(DataError, match="1 test row with several answers"):
        of_samples("tuned=tuned.jsonl")


def test_our_metrics_read_the_text_before_filters(folder):
    """By test rows of one's own: answers find their row by order, which the columns of the documents must agree with."""
    documents = [row(number)["doc"] for number in range(10)]
    test = [{"prompt": one["question"], "completion": one["answer"], **one} for one in documents]
    preparing.write_file(folder / "test.jsonl", test)
    preparing.write_file(folder / "tuned.jsonl", rows(set())[::-1])
    _, report = score(BASE, "tuned=tuned.jsonl", metric="token_f1")
    assert report["cells"][0]["comparisons"][0]["base"] == pytest.approx(0.5)  # "It is 3", of which 3 is one word of three
    preparing.write_file(
        folder / "test.jsonl", [{"prompt": one["question"], "completion": one["answer"], **one} for one in documents[::-1]]
    )
    with pytest.raises(DataError, match="rows have another question than the test row of their place"):
        score(BASE, "tuned=tuned.jsonl", metric="token_f1")


@pytest.mark.parametrize(
    ("tuned", "words"),
    [
        ([row(n, exact_match=7.0) for n in range(10)], "10 of 20 answers have no score 'exact_match'"),
        ([row(n, resps=[["a"], ["b"]]) for n in range(10)], "resps hold 2 answers"),
        ([row(n, resps=[]) for n in range(10)], "resps hold 0 answers"),
        ([row(n, resps=[[["-1", "True"]]], arguments={}) for n in range(10)], "arguments hold no prompt"),
        ([*[row(n) for n in range(9)], {"doc_id": 9, "doc": {}}], "1 of 10 rows are no samples .* line 10: target is missing"),
        ([row(n, doc_id=[n]) for n in range(10)], r"10 of 10 rows are no samples .* line 1: doc_id is \[0\]"),
        ([row(n, doc_id=None) for n in range(10)], "line 1: doc_id is null"),
        ([row(n, name=["strict"]) for n in range(10)], r'line 1: filter is \["strict"\]'),
        ([row(n, metrics=[{"a": 1}]) for n in range(10)], r'line 1: metrics is \[\{"a": 1\}\]'),
        ([row(n, metrics="exact_match") for n in range(10)], 'line 1: metrics is "exact_match"'),
        ([row(n, target=str(n % 9)) for n in range(10)], "1 of 10 documents have another target than in samples_sums.*first: line 10"),
        ([{"prediction": "a"}] * 9, "has 9 answers, and samples_sums"),
        ([{"prediction": "a"}] * 10, "10 of 20 answers have no score 'exact_match'"),
    ],
)
def test_what_is_no_pair_of_samples_ends_in_one_line(tuned, words, folder):
    preparing.write_file(folder / BASE.partition("=")[2], rows({1}, ("strict",)))
    preparing.write_file(folder / "tuned.jsonl", tuned)
    with pytest.raises((DataError, ComparisonError), match=words) as error:
        of_samples("tuned=tuned.jsonl")
    assert "\n" not in error.value.problem


LOWER = ("brier_score", "ter", "wer", "byte_perplexity", "pct_stereotype", "amb_bias_score_Age", "perspective_api_toxicity_score")


@pytest.mark.parametrize(("metric", "value"), [("likelihoods", [1.0, 2]), *((name, 0.5) for name in LOWER)])
def test_samples_without_a_usable_score_are_refused(metric, value, folder):
    """No number, or one that is better where it is lower: a gain would be called worse."""
    preparing.write_file(folder / "samples.jsonl", [row(n, metrics=[metric], **{metric: value}) for n in range(4)])
    with pytest.raises(DataError, match="no score between 0 and 1, better where it is higher, for each of its 4 documents"):
        with_predictions(ScoreRequest(("base=samples.jsonl", "tuned=x.jsonl")), {})


@pytest.mark.parametrize("changes", [{"arguments": {"gen": 1}}, {"arguments": [1, 2]}, {"arguments": [[1, 2]]}])
def test_documents_without_a_prompt_are_counted(changes, folder):
    preparing.write_file(folder / "base.jsonl", [row(n, **changes) for n in range(10)])
    preparing.write_file(folder / "tuned.jsonl", rows({1}, ("strict",)))
    with pytest.raises(DataError, match=r"10 bad value.*\n  line 1: bad value: arguments hold no prompt"):
        score("base=base.jsonl", "tuned=tuned.jsonl", data=None, metric=None)


def test_documents_may_have_columns_of_the_names_of_samples(folder):
    def document(number):
        return {"doc": f"text {number}", "doc_id": "a", "target": "another", "filter": 1, "metrics": 2}

    for name, right in (("base", {1, 2}), ("tuned", {1, 2, 3, 4})):
        one_filter = rows(right, ("strict",))
        preparing.write_file(folder / f"{name}.jsonl", [{**one, "doc": document(one["doc_id"])} for one in one_filter[::-1]])
    _, report = score("base=base.jsonl", "tuned=tuned.jsonl", data=None, metric=None)
    [primary] = report["cells"][0]["comparisons"]
    assert (primary["base"], primary["tuned"]) == (0.2, 0.4)


def test_a_folder_stands_for_its_only_file(folder):
    (folder / "out" / "model").mkdir(parents=True)
    (folder / BASE.partition("=")[2]).rename(folder / "out" / "model" / "samples_sums_2026.jsonl")
    assert prediction_files.locate("out").name == "samples_sums_2026.jsonl"
    preparing.write_file(folder / "out" / "model" / "samples_other_2026.jsonl", rows({1}))
    with pytest.raises(DataError, match="out has 2 files of samples"):
        prediction_files.locate("out")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_scores_are_those_of_lm_eval_document_by_document(model, tmp_path, monkeypatch):
    """A real run of its command line, on two models: text with two filters, and choices."""
    pytest.importorskip("lm_eval")
    monkeypatch.chdir(tmp_path)
    test_harness_parity.write_tasks(tmp_path / "tasks")
    shipped = Path(__file__).parents[1] / "checkpoints" / "quickstart-base"
    environment = os.environ | {"HF_DATASETS_CACHE": str(tmp_path / "cache"), "CUDA_VISIBLE_DEVICES": ""}
    for name, base in (("one", model["folder"]), ("other", shipped)):
        command = [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args", f"pretrained={base},dtype=float32", "--device", "cpu"]
        command += ["--tasks", "my_qa,my_choice", "--include_path", "tasks", "--log_samples", "--output_path", name, "--batch_size", "8"]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    for task in ("my_qa", "my_choice"):
        paths = [next((tmp_path / name).rglob(f"samples_{task}_*.jsonl")) for name in ("one", "other")]
        place, report = score(f"base={paths[0]}", f"tuned={paths[1]}", data=None, metric=None)
        theirs = [[json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in paths]
        samples = lm_eval_samples.describe(paths[0])
        assert samples.task == task
        examples = [json.loads(line) for line in next((tmp_path / "data" / "compare").glob(f"*--{task}--*/examples.jsonl")).open()]
        assert len(examples) == len({one["doc_id"] for one in theirs[0]}) == 16
        for metric in samples.metrics:
            name, _, chosen = metric.partition(",")
            expected = [{one["doc_id"]: one[name] for one in of_file if chosen in ("", one["filter"])} for of_file in theirs]
            own = [[one[arm] if arm == "base" else one[arm][0] for one in examples] for arm in ("base", "tuned")]
            assert [[answer["scores"][f"lm_eval/{metric}"] for answer in arm] for arm in own] == [list(one.values()) for one in expected]
        assert recompute_page.verify(place.page).comparisons == 1
        assert report["cells"][0]["comparisons"][0]["n"] == 16
