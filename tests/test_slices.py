"""The lift in every slice, and its difference from the rest: recomputed by hand, found where it was planted, and level where it was not."""

import itertools
import json
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import binomtest, ttest_ind

from pipeline.commands import call, recompute_page, report_table, slice_check
from pipeline.commands.options import RunOptions
from pipeline.config import recipe as recipes
from pipeline.errors import RecipeError
from pipeline.machine import Machine
from pipeline.measures import rest_test, slice_verdicts, slices
from pipeline.planning.plan import plan
from pipeline.scoring import stats
from pipeline.scoring.scoring import Settings
from pipeline.store.result_folders import ReportFolder
from tests import ROOT
from tests.test_report_schema import Report, faults

SETTINGS = Settings("t", ("accuracy",), resamples=400)
NONE = np.array([], dtype=int)


def mean(sums):
    return sums[..., 0] / sums[..., 1]


def sample(base, *tuned, groups=None, zero_one=True, settings=SETTINGS):
    """Scores (n,) of base and of every training seed."""
    values = np.array([base, *tuned], dtype=float)
    ids = np.arange(len(base)) if groups is None else np.asarray(groups)
    return slices.Sample(np.stack([values, np.ones_like(values)], axis=-1), mean, ids, zero_one, settings)


def slicing(*names, **more):
    rows = [{"label": name, "lowest": None, "highest": None} for name in names]
    return {"by": "genre", "kind": "column", "why": None, "remedy": "", "slices": rows, "of_example": {}} | more


def scores(index, data, *names):
    return slices.slicing_scores(slicing(*names), np.asarray(index), data, "accuracy")["slices"]


def flips(rng, n, lift, discordance):
    """Fine-tuned minus base of single examples."""
    return rng.choice([1.0, -1.0, 0.0], n, p=[(discordance + lift) / 2, (discordance - lift) / 2, 1 - discordance])


def test_a_slice_is_recomputed_by_hand():
    rng = np.random.default_rng(4)
    base, tuned, index = rng.random(300) < 0.5, rng.random(300) < 0.7, rng.integers(3, size=300)
    for number, row in enumerate(scores(index, sample(base, tuned), "a", "b", "c")):
        inside = index == number
        gained, lost = int((tuned & ~base)[inside].sum()), int((base & ~tuned)[inside].sum())
        assert row["n"] == inside.sum()
        assert (row["base"], row["tuned"]) == (pytest.approx(base[inside].mean()), pytest.approx(tuned[inside].mean()))
        assert row["lift"] == pytest.approx((gained - lost) / inside.sum())
        assert row["p"] == pytest.approx(binomtest(gained, gained + lost).pvalue)
        change = tuned.astype(float) - base
        assert row["rest"]["value"] == pytest.approx(change[inside].mean() - change[~inside].mean())
        assert row["rest"]["p"] == pytest.approx(max(permuted_p(change, inside), welch_p(change, inside)), abs=0.05)
        whole, part, rest = (sample(base, tuned).part(mask) for mask in (inside | ~inside, inside, ~inside))
        assert len(whole.groups) == 300
        low, high = (side.resampled.difference(stats.TUNED, stats.BASE) for side in (part, rest))
        assert row["rest"]["low"] == pytest.approx(row["rest"]["value"] - np.hypot(low.value - low.low, high.high - high.value))
        assert row["rest"]["high"] == pytest.approx(row["rest"]["value"] + np.hypot(low.high - low.value, high.value - high.low))


def permuted_p(change, inside, draws=2000):
    """Of the studentized permutation test, written plainly."""
    rng = np.random.default_rng(9)

    def statistic(mask):
        one, other = change[mask], change[~mask]
        return (one.mean() - other.mean()) / np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))

    observed = abs(statistic(inside))
    return (sum(abs(statistic(rng.permutation(inside))) >= observed - 1e-12 for _ in range(draws)) + 1) / (draws + 1)


def welch_p(change, inside):
    return ttest_ind(change[inside], change[~inside], equal_var=False).pvalue


def test_all_permutations_of_a_small_set_give_the_p_that_is_drawn():
    part, rest = np.array([1.0, 0.5, 0.7]), np.array([0.1, -0.3, 0.2, 0.4])
    values = np.concatenate([part, rest])
    units = rest_test.Units.of(part, rest, NONE, NONE)
    masks = np.array([[float(n in chosen) for n in range(7)] for chosen in itertools.combinations(range(7), 3)])
    all_of_them = np.abs(units.statistic(masks, np.ones((len(masks), 0))))
    by_hand = []
    for mask in masks.astype(bool):
        one, other = values[mask], values[~mask]
        by_hand.append((one.mean() - other.mean()) / np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other)))
    assert all_of_them == pytest.approx(np.abs(by_hand))
    exact = float((all_of_them >= abs(by_hand[0]) - 1e-12).mean())
    assert rest_test.permutation_p(units, by_hand[0], 20_000, 0) == pytest.approx(exact, abs=0.01)
    welch = ttest_ind(part, rest, equal_var=False).pvalue
    assert rest_test.welch_p(part, rest, by_hand[0]) == pytest.approx(welch)
    assert rest_test.rest_p(part, rest, NONE, NONE, 20_000, 0) == pytest.approx(max(welch, exact), abs=0.01)


def test_the_error_of_groups_on_both_sides_counts_what_they_share():
    """By the variance of the difference of each group, as by hand."""
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(2, 30))
    second = 0.8 * first + 0.2 * second
    index = np.arange(30)
    units = rest_test.Units.of(first, second, index, index)
    by_hand = (first - second).mean() / np.sqrt((first - second).var(ddof=1) / 30)
    assert units.statistic(*units.as_they_are())[0] == pytest.approx(by_hand)


def test_sides_on_which_nothing_varies_are_as_far_apart_as_can_be():
    units = rest_test.Units.of(np.ones(20), np.zeros(20), NONE, NONE)
    assert units.statistic(*units.as_they_are())[0] == np.inf
    assert rest_test.rest_p(np.ones(20), np.zeros(20), NONE, NONE, 500, 0) == pytest.approx(1 / 501, abs=1 / 501)
    assert rest_test.rest_p(np.ones(20), np.ones(30), NONE, NONE, 500, 0) == 1.0


def test_a_small_slice_has_scores_and_no_test():
    rng = np.random.default_rng(1)
    index = np.array([0] * 19 + [1] * 60 + [2] * 60)
    small, large, _ = scores(index, sample(rng.random(139) < 0.5, rng.random(139) < 0.5), "small", "large", "third")
    assert (small["n"], small["p"], small["low"], small["rest"]) == (19, None, None, None)
    assert small["lift"] == pytest.approx(small["tuned"] - small["base"])
    assert large["rest"] is not None
    rest, _ = scores(np.array([0] * 120 + [1] * 19), sample(rng.random(139) < 0.5, rng.random(139) < 0.5), "large", "small")
    assert rest["p"] is not None
    assert rest["rest"] is None


def test_a_slice_of_few_documents_is_small_however_many_examples_it_has():
    rng = np.random.default_rng(1)
    groups, index = np.repeat(np.arange(40), 10), np.repeat(np.arange(40) >= 10, 10).astype(int)
    few, many = scores(index, sample(rng.random(400) < 0.5, rng.random(400) < 0.6, groups=groups), "few", "many")
    assert (few["n"], few["groups"], few["p"]) == (100, 10, None)
    assert (many["groups"], many["p"] is None, many["rest"]) == (30, False, None)


def test_documents_are_resampled_whole_and_counted_where_slices_share_them():
    rng = np.random.default_rng(2)
    document = np.repeat(rng.random(60) < 0.4, 5)
    groups, nested, shared = np.repeat(np.arange(60), 5), np.repeat(np.arange(60) % 2, 5), np.tile([0, 0, 0, 1, 1], 60)
    data = sample(np.zeros(300), document, groups=groups)
    one, _ = scores(nested, data, "a", "b")
    single, _ = scores(nested, sample(np.zeros(300), document), "a", "b")
    assert one["high"] - one["low"] > 1.5 * (single["high"] - single["low"])
    both = slices.slicing_scores(slicing("a", "b"), shared, data, "accuracy")
    assert both["shared_groups"] == 60
    # the slice and the rest are the same documents with the same answers: their lifts are equal, and so they would be in others
    assert both["slices"][0]["rest"]["value"] == pytest.approx(0)
    assert both["slices"][0]["rest"]["high"] - both["slices"][0]["rest"]["low"] < 0.05
    assert one["rest"]["high"] - one["rest"]["low"] > 0.3


def test_the_rest_of_one_of_two_slices_is_the_other():
    rng = np.random.default_rng(5)
    index = np.arange(200) % 2
    one, other = (row["rest"] for row in scores(index, sample(rng.random(200) < 0.5, rng.random(200) < 0.6), "a", "b"))
    assert (other["value"], other["low"], other["high"], other["p"]) == (-one["value"], -one["high"], -one["low"], one["p"])


def test_training_seeds_that_differ_on_a_slice_widen_its_difference():
    """With a lift of 0.4, 0 and -0.4 on one half, nobody knows what a fourth seed does there; a lift that all seeds share, on both
    halves, is none of the difference."""
    rng = np.random.default_rng(6)
    index, base = np.repeat([0, 1], 100), np.full(200, 0.5)
    noise = rng.normal(0, 0.02, (3, 200))
    apart = [base + noise[k] + lift * (index == 0) for k, lift in enumerate((0.4, 0.0, -0.4))]
    alike = [base + noise[k] + lift for k, lift in enumerate((0.3, 0.0, -0.3))]
    one, _ = scores(index, sample(base, *apart, zero_one=False), "a", "b")
    two, _ = scores(index, sample(base, *alike, zero_one=False), "a", "b")
    assert one["rest"]["high"] - one["rest"]["low"] > 1
    assert one["rest"]["p"] > 0.5
    assert two["rest"]["high"] - two["rest"]["low"] < 0.1
    assert two["high"] - two["low"] > 1


def test_a_metric_that_weighs_classes_is_that_of_single_examples():
    """A slice may lack a class, and a slice by label has one only."""
    from pipeline import metrics

    row = {"id": "a", "tuned": [{}]}
    values = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    primary = SimpleNamespace(metric=metrics.load("macro_f1"), values=values, statistics=np.zeros((2, 3, 6)))
    data, name = slices.sample_of(SimpleNamespace(primary=primary, rows=[row], group_ids=np.arange(3)), SETTINGS)
    assert name == "accuracy"
    assert data.zero_one
    arms = data.arms(np.array([True, True, False]))
    assert arms.scores(arms.sums.sum(axis=0)) == pytest.approx([0.5, 1])


def scored(*tests):
    """A slicing of slices with these p of the lift and of the difference."""
    rows = []
    for number, (p, rest) in enumerate(tests):
        lift = {"low": 0.1, "high": 0.3} if p is not None else {"low": None, "high": None}
        difference = None if rest is None else {"value": -0.2, "low": -0.3, "high": -0.1, "p": rest}
        rows.append({"label": str(number), "lowest": None, "highest": None, "n": 50, "groups": 50, "base": 0.5, "tuned": 0.7, "lift": 0.2})
        rows[-1] |= {**lift, "p": p, "rest": difference}
    return {"by": "genre", "kind": "column", "why": None, "metric": "accuracy", "slices": rows, "shared_groups": 0}


def test_all_tests_of_a_report_are_corrected_together():
    """The difference of two slices is one test, and so is what two cells share."""
    cells = {"a": [scored((0.001, 0.02), (0.5, 0.02)), scored((0.004, None), (None, None), (0.3, 0.9))], "b": [scored((0.01, 0.03))]}
    cells["c"] = cells["a"]
    judged = slice_verdicts.judge(cells, {"a": "k", "b": "l", "c": "k"}, 0.95, "holm", is_final=True)
    family = [0.001, 0.02, 0.5, 0.004, 0.3, 0.9, 0.01, 0.03]
    adjusted = stats.holm(family)
    first, second = judged["a"]
    assert {slicing["tests"] for rows in judged.values() for slicing in rows} == {len(family)}
    assert [row["p_adjusted"] for row in first["slices"]] == [adjusted[0], adjusted[2]]
    assert [row["rest"]["p_adjusted"] for row in first["slices"]] == [adjusted[1]] * 2
    assert [row["p_adjusted"] for row in second["slices"]] == [adjusted[3], None, adjusted[4]]
    assert judged["c"] == judged["a"]
    assert [row["verdict"] for row in second["slices"]] == ["above base", "", "inconclusive"]
    assert (first["slices"][0]["verdict"], first["slices"][0]["rest"]["verdict"]) == ("above base", "inconclusive")
    alone = slice_verdicts.judge({"a": [scored((0.04, 0.04))]}, {"a": "k"}, 0.95, "none", is_final=True)["a"][0]["slices"][0]
    assert (alone["verdict"], alone["rest"]["verdict"]) == ("above base", "below the rest")
    early = slice_verdicts.judge({"a": [scored((0.04, 0.04))]}, {"a": "k"}, 0.95, "none", is_final=False)["a"][0]["slices"][0]
    assert (early["verdict"], early["rest"]["verdict"]) == ("no verdict", "no verdict")


def test_equal_statistics_are_equal_though_rounded():
    """One change among 40 on either side: in half of the permutations it is in the slice, and none of them is more extreme."""
    one = np.zeros(40)
    one[0] = 1 / 3
    assert rest_test.rest_p(one, np.full(40, 0.0), NONE, NONE, 500, 0) == 1.0
    assert rest_test.rest_p(one + 0.1, np.full(40, 0.1), NONE, NONE, 500, 0) == 1.0


NULLS = {
    "few changes, a small slice": (20, 480, 0.1, 0.1, 0.1),
    "a small slice of hard examples": (30, 470, 0.0, 0.5, 0.05),
    "a small slice of easy examples": (30, 470, 0.0, 0.05, 0.5),
}
"""Sizes of slice and rest, the lift of both, and how often answers change on either."""
SETS = 600


@pytest.mark.slow
@pytest.mark.parametrize("null", NULLS)
def test_a_difference_that_is_not_there_is_seldom_found(null):
    inside, outside, lift, *discordance = NULLS[null]
    rng = np.random.default_rng(7)
    mask = np.arange(inside + outside) < inside
    wrong = 0
    for _ in range(SETS):
        change = np.concatenate([flips(rng, inside, lift, discordance[0]), flips(rng, outside, lift, discordance[1])])
        data = sample(np.zeros(len(change)), change, zero_one=False)
        wrong += slices.from_rest(data.part(mask), data.part(~mask), SETTINGS)["p"] <= 0.05
    assert wrong / SETS <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / SETS)


@pytest.mark.slow
def test_a_fine_tune_that_does_nothing_is_seldom_said_to_do_something_on_a_slice():
    """All slices of a report by length, label and a column, with Holm: 14 tests of lifts that are 0 and of differences that are."""
    rng, wrong = np.random.default_rng(8), 0
    for _ in range(300):
        base, tuned = rng.random((2, 400)) < 0.5
        rows = [slices.slicing_scores(slicing(*"abcd"[:k]), rng.integers(k, size=400), sample(base, tuned), "accuracy") for k in (4, 3, 2)]
        judged = slice_verdicts.judge({"c": rows}, {"c": "k"}, 0.95, "holm", is_final=True)["c"]
        all_rows = [row for one in judged for row in one["slices"]]
        decided = [row["verdict"] for row in all_rows] + [row["rest"]["verdict"] for row in all_rows]
        wrong += set(decided) != {"inconclusive"}
    assert wrong / 300 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


# the whole way, from files of predictions to the page


def write_jsonl(path, rows):
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


TEAMS = ["billing", "shipping", "returns"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A fine-tune that helps with short tickets and hurts with long ones; topics mean nothing. One ticket in four has no genre."""
    folder = tmp_path_factory.mktemp("planted")
    draw = random.Random(1)
    rows, base, tuned = [], [], []
    for number in range(400):
        words, team = draw.randint(3, 60), draw.choice(TEAMS)
        genre = (None, "phones", "books", "games")[number % 4]
        rows.append({"id": number, "text": f"{'word ' * words}{number}", "team": team, "genre": genre, "note": f"note {number}"})
        base.append({"id": number, "answer": team if draw.random() < 0.5 else "none"})
        tuned.append({"id": number, "answer": team if draw.random() < (0.95 if words < 32 else 0.1) else "none"})
    for name, lines in (("test", rows), ("base", base), ("tuned", tuned)):
        write_jsonl(folder / f"{name}.jsonl", lines)
    return folder


def tickets(folder, slices=(), **more):
    files = {name: str(folder / f"{name}.jsonl") for name in ("test", "base", "tuned")}
    task = {"name": "teams", "data": {"test": files["test"]}, "prompt": "{text}", "target": "{team}", "metrics": ["accuracy"]}
    recipe = {"name": "tickets", "base": "theirs", "tasks": [task], "base_predictions": files["base"]}
    recipe |= {"variants": [{"name": "mine", "predictions": [files["tuned"]]}], "compare": {"resamples": 1000, "slices": list(slices)}}
    return recipes.build(recipe | more)


def report_of(recipe, store):
    planned = call.call_of(recipe, store, Machine(device="cpu"), RunOptions(detail="quiet"))
    folder = ReportFolder(call.make_report(planned).path)
    return folder, folder.data()


@pytest.fixture(scope="module")
def reports(planted, tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    return report_of(tickets(planted), store), report_of(tickets(planted, ["length", "label", "genre"]), store), store


def test_a_fine_tune_that_helps_short_prompts_and_hurts_long_ones_is_recovered(reports):
    (cell,) = reports[1][1]["cells"]
    length, label, genre = cell["slices"]
    assert [row["verdict"] for row in length["slices"]] == ["above base", "above base", "below base", "below base"]
    assert [row["rest"]["verdict"] for row in length["slices"]] == ["above the rest", "above the rest", "below the rest", "below the rest"]
    assert {row["rest"]["verdict"] for slicing in (label, genre) for row in slicing["slices"]} == {"inconclusive"}
    assert [row["label"] for row in genre["slices"]] == ["books", "games", "phones", "no value"]
    assert sorted(row["label"] for row in label["slices"]) == sorted(TEAMS)
    for slicing in (length, label, genre):
        assert sum(row["n"] for row in slicing["slices"]) == 400
        assert sum(row["n"] * row["lift"] for row in slicing["slices"]) == pytest.approx(400 * cell["comparisons"][0]["lift"])
    assert faults(reports[1][1], Report) == []


def test_slices_change_no_headline_and_no_confirmatory_test(reports):
    without, sliced = (report for _, report in reports[:2])
    for key in ("claims", "advice", "rules", "summary", "verdicts", "family", "correction"):
        assert sliced[key] == without[key]
    assert sliced["cells"][0]["headline"] == without["cells"][0]["headline"]
    assert without["cells"][0]["slices"] == []


def test_the_page_markdown_and_terminal_have_the_slices(reports):
    (plain, without), (folder, report), _ = reports
    html, text = (folder.path / "report.html").read_text(), (folder.path / "report.md").read_text()
    assert '<a href="#slices">Lift by slice</a>' in html
    assert "| column genre | no value | 100 |" in text
    assert text.count("| words of the prompt |") == 4
    assert 'id="slices"' not in (plain.path / "report.html").read_text()
    assert "slice" not in (plain.path / "report.md").read_text().partition("<details>")[0]
    console = Console(width=80)
    with console.capture() as capture:
        console.print(report_table.summary(report))
    assert capture.get().count("below base in a slice (exploratory): teams") == 1
    with console.capture() as capture:
        console.print(report_table.summary(without))
    assert "slice" not in capture.get()


def test_verify_recomputes_every_number_of_the_slices(reports, tmp_path):
    folder = reports[1][0]
    checked = recompute_page.verify(folder.page)
    assert (checked.comparisons, checked.hash_only) == (1, [])


def test_nothing_but_the_comparison_is_run_again_for_slices(reports, planted):
    """Test examples and predictions are those of the recipe without slices."""
    stages = [path.parents[1].name for path in reports[2].glob("data/*/*/manifest.json")]
    assert {stage: stages.count(stage) for stage in set(stages)} == {
        "prepare": 1,
        "import_predictions": 2,
        "slice_examples": 1,
        "compare": 2,
        "report": 2,
    }


@pytest.mark.parametrize("name", ["quickstart.yaml", "tour.yaml"])
def test_slices_are_no_part_of_any_other_job(name):
    """Not of examples, adapters, predictions nor measures of a recipe that trains."""
    before, after = (
        plan(recipes.load(ROOT / "recipes" / name, changes), ask=False) for changes in ({}, {"compare.slices": ["length", "text"]})
    )
    assert {job.stage for job in set(after) - set(before)} == {"slice_examples", "compare", "report"}
    assert {job.stage for job in set(before) - set(after)} == {"compare", "report"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("gener", r"there is no column 'gener' in .*test\.jsonl\. Did you mean 'genre'\? Its columns: id, text, team, genre, note\."),
        ("note", r"the column note has 400 different values in 400 test examples, and at most 20 are slices\. "),
    ],
)
def test_a_slice_that_cannot_be_ends_the_run(entry, message, planted, tmp_path):
    with pytest.raises(RecipeError, match=rf"compare\.slices: teams: {message}"):
        report_of(tickets(planted, ["length", entry]), tmp_path)
    assert not list(tmp_path.glob("data/compare/*"))


def test_it_ends_before_any_training(tmp_path):
    """Of a recipe that trains: no job on weights has begun."""
    recipe = recipes.load(ROOT / "recipes" / "quickstart.yaml", {"compare.slices": ["txt"], "prepare.heldout_examples": 20})
    planned = call.call_of(recipe, tmp_path, Machine(device="cpu"), RunOptions(detail="quiet"))
    with pytest.raises(RecipeError, match="there is no column 'txt' in"):
        call.carry_out(planned, {"finetune"})
    assert not list(tmp_path.glob("checkpoints/*/manifest.json"))
    assert {path.parents[1].name for path in tmp_path.glob("data/*/*/manifest.json")} == {"prepare", "slice_examples"}


def fact(by="genre", why=None, remedy="", kind="column"):
    return {"by": by, "kind": kind, "why": why, "remedy": remedy, "slices": 0 if why else 3}


def test_what_fits_one_task_of_several_ends_no_run():
    slice_check.check([("a", fact(why="no column", remedy="x")), ("b", fact())])
    slice_check.check([("a", fact(why="one value"))])
    mistakes = [("a", fact(why="no column", remedy="x.")), ("b", fact(why="lists", remedy="y."))]
    with pytest.raises(RecipeError) as error:
        slice_check.check([*mistakes, ("a", fact("length")), ("b", fact("length"))])
    assert str(error.value) == "compare.slices: a: no column. x.\n  compare.slices: b: lists. y."


def test_a_column_may_be_called_as_a_word_of_the_recipe(planted):
    entries = ["length", "column:length", "label", "column:label", "column:genre"]
    (job,) = {job for job in plan(tickets(planted, entries), ask=False) if job.stage == "slice_examples"}
    assert [(entry["by"], entry["kind"]) for entry in job.params["slices"]] == [
        ("length", "length"),
        ("length", "column"),
        ("label", "label"),
        ("label", "column"),
        ("genre", "column"),
    ]
    assert job.params["files"]


def test_the_files_of_a_task_are_no_part_of_slices_without_a_column(planted):
    (job,) = {job for job in plan(tickets(planted, ["length"]), ask=False) if job.stage == "slice_examples"}
    assert job.params["files"] == {}
