"""Variants of one model are compared with each other: every pair, with several seeds on either side, and how far they lie apart."""

import io
import itertools
import json
import re
import statistics
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from rich.console import Console

from pipeline.commands import recompute_page, report_table
from pipeline.commands.page_file import ProofError
from pipeline.measures import variant_pairs
from pipeline.measures.report_types import Report
from pipeline.page import examples_section
from pipeline.scoring import stats, verdict
from pipeline.scoring.seed_variance import SeedVariance, t_quantile, z_quantile
from tests.test_report_schema import faults
from tests.test_score import ROWS, answers, score, write_jsonl

FILES = {"one": [(0.9, 2)], "two": [(0.6, 3), (0.7, 4)], "three": [(0.5, 5), (0.8, 6), (0.6, 7)]}
"""By name, the share of right answers and the seed of each file."""


def texts_of(share, seed):
    """Answers of which some wrong ones are another wrong answer than the other class."""
    return [text if number % 7 else "maybe" for number, text in enumerate(answers(share, seed))]


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """The folder of a report of three names with one, two and three files, and its report.json."""
    folder = tmp_path_factory.mktemp("score")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_jsonl(Path("test.jsonl"), ROWS)
        arguments = []
        for name, files in {"base": [(0.5, 1)], **FILES}.items():
            for number, (share, seed) in enumerate(files):
                path = f"{name}{number}.jsonl"
                write_jsonl(Path(path), [{"id": row["id"], "answer": text} for row, text in zip(ROWS, texts_of(share, seed), strict=True)])
                arguments.append(f"{name}={path}")
        yield score(*arguments, "compare.same_within=0.4", "compare.correction=holm")


def right(name):
    """(seeds, n) of the files of a name, whether each answer is right."""
    return np.array([[text == row["completion"] for text, row in zip(texts_of(*file), ROWS, strict=True)] for file in FILES[name]], float)


def test_a_wrong_answer_in_another_spelling_is_no_other_one():
    def wrong(answer):
        return {"answer": answer, "scores": {"accuracy": 0.0}}

    spelled = [(wrong("yes"), wrong('"Yes".')), (wrong("Cafe\u0301"), wrong("caf\u00e9"))]
    other = [(wrong("yes"), wrong("maybe")), (wrong(None), wrong("yes"))]
    assert examples_section.churn([*spelled, *other, (wrong("yes"), wrong(None))], "accuracy") == {"wrong": 5, "changed": 2}


def test_every_pair_has_the_figures_of_its_files(scored):
    _, report = scored
    assert faults(report, Report) == []
    [table] = report["variants"]
    assert (table["task"], table["metric"], table["n"], table["tests"]) == ("test", "accuracy", len(ROWS), 6)
    assert [(row["name"], row["seeds"]) for row in table["scores"]] == [("one", 1), ("two", 2), ("three", 3)]
    scores = {row["name"]: row["score"] for row in table["scores"]}
    assert scores == pytest.approx({name: right(name).mean() for name in FILES})
    assert table["range"] == pytest.approx(max(scores.values()) - min(scores.values()))
    assert table["sd"] == pytest.approx(statistics.stdev(scores.values()))
    assert [(pair["variant"], pair["against"]) for pair in table["pairs"]] == [("two", "one"), ("three", "one"), ("three", "two")]
    for pair in table["pairs"]:
        later, earlier = right(pair["variant"]), right(pair["against"])
        gain = later.mean(axis=0) - earlier.mean(axis=0)
        assert pair["lift"] == pytest.approx(gain.mean())
        assert pair["low"] < pair["lift"] < pair["high"]
        assert (pair["fixed"], pair["broken"]) == ((gain > 1e-9).sum(), (gain < -1e-9).sum())
        both = list(itertools.product(FILES[pair["variant"]], FILES[pair["against"]]))
        wrong = [
            (one, other)
            for after, before in both
            for one, other, row in zip(texts_of(*after), texts_of(*before), ROWS, strict=True)
            if row["completion"] not in (one, other)
        ]
        assert pair["churn"] == {"wrong": len(wrong), "changed": sum(one != other for one, other in wrong)}


def test_the_scores_of_a_table_are_those_of_the_cells(scored):
    _, report = scored
    [table] = report["variants"]
    cells = {cell["cell"]: cell for cell in report["cells"]}
    for row in table["scores"]:
        cell = cells[row["cell"]]
        assert (cell["variant"], cell["comparisons"][0]["tuned"]) == (row["name"], pytest.approx(row["score"]))
        [tuned] = [arm for arm in cell["arms"] if arm["name"] == "tuned"]
        assert (row["low"], row["high"]) == pytest.approx((tuned["low"], tuned["high"]), abs=0.02)


def test_what_is_unknown_is_said_once_of_all_variants(scored):
    _, report = scored
    unknown = [line for line in report["warnings"] if "unknown" in line or "Nothing is known" in line]
    assert unknown == [
        "Predictions come from 7 files. Nothing is known of the models, prompts, decoding and seeds behind them, "
        "nor whether these were the same.",
        "It is unknown what one, two and three were trained on, so nobody can say whether they saw test examples. "
        "Name their training rows with variants: train, and they are searched for duplicates.",
    ]


def test_variants_of_files_have_no_section_on_a_sweep(scored):
    """It would repeat their lifts, beside sizes and times that nobody knows."""
    folder, report = scored
    page, markdown = folder.page.read_text("utf-8"), folder.page.with_name("report.md").read_text("utf-8")
    assert report["sweep"]["keys"] == ["variant"]
    assert 'id="sweep"' not in page
    assert "Sweep" not in page.partition("<nav")[2].partition("</nav>")[0]
    assert "Sweep over" not in markdown
    assert "Selection bias: the best of several variants is over-estimated" in " ".join(report["notes"])


def test_tests_of_pairs_are_corrected_together_and_apart_from_the_confirmatory_ones(scored):
    _, report = scored
    [table] = report["variants"]
    p = [pair["p"] for pair in table["pairs"]] + [pair["same"]["p"] for pair in table["pairs"]]
    adjusted = stats.holm(p, 3)
    assert [pair["p_adjusted"] for pair in table["pairs"]] == pytest.approx(adjusted[:3])
    for pair, p_same in zip(table["pairs"], adjusted[3:], strict=True):
        is_same = p_same <= 0.05 and pair["same"]["low"] > -0.4 and pair["same"]["high"] < 0.4
        expected = verdict.SAME if is_same else verdict.decide(pair["p_adjusted"], pair["low"], pair["high"], 0.95)
        assert pair["verdict"] == expected
    assert not [claim for claim in report["claims"] if "variant" in claim["kind"]]
    assert report["family"] == 6  # a lift and its test for the same of every variant


def test_page_markdown_and_terminal_say_it(scored):
    folder, report = scored
    [table] = report["variants"]
    page, markdown = folder.page.read_text("utf-8"), folder.page.with_name("report.md").read_text("utf-8")
    section = page.partition('<section id="variants">')[2].partition("</section>")[0]
    assert 'href="#variants">Variants of one model</a>' in page
    assert "Exploratory: p-values are corrected for the pairs of a task, and their tests for the same" in section
    assert "Of a variant with one training run, other runs may differ" in section
    rows = re.findall(r"<td class=\"point\">(\w+)</td><td class=\"point\">(\w+)</td>\n<td><span class=\"word \w+\">(\w+)</span>", section)
    assert rows == [(pair["variant"], pair["against"], pair["verdict"]) for pair in table["pairs"]]
    assert f"- {table['sentence']}" in markdown
    assert all(f"| {pair['variant']} | {pair['against']} | **{pair['verdict']}** |" in markdown for pair in table["pairs"])
    console = Console(file=io.StringIO(), width=80)
    console.print(report_table.summary(report))
    assert table["sentence"] in " ".join(console.file.getvalue().split())
    assert table["sentence"].startswith("test: accuracy of 3 variants from 0.5")


def test_the_navigation_has_the_order_of_the_sections(scored):
    page = scored[0].page.read_text("utf-8")
    navigation = page.partition("<nav")[2].partition("</nav>")[0]
    sections = re.findall(r'<section id="(\w+)"', page)
    assert [name for name in re.findall(r'href="#(\w+)"', navigation) if name in sections] == [
        name for name in sections if f'href="#{name}"' in navigation
    ]
    assert {"parts", "variants"} < set(sections)


def test_a_page_proves_its_pairs(scored, tmp_path):
    folder, report = scored
    assert recompute_page.verify(folder.page).comparisons == 3
    lift = f"{report['variants'][0]['pairs'][0]['lift']:.3f}".replace("-", "−")
    text = folder.page.read_text("utf-8")
    section = text.partition('<section id="variants">')[2].partition("</section>")[0]
    assert f"<b>{lift}</b>" in section
    (tmp_path / "page.html").write_text(text.replace(section, section.replace(f"<b>{lift}</b>", "<b>−0.999</b>")), "utf-8")
    with pytest.raises(ProofError, match=r"0\.999"):
        recompute_page.verify(tmp_path / "page.html")


def write_files(**shares):
    write_jsonl(Path("test.jsonl"), ROWS)
    for seed, (name, share) in enumerate(shares.items()):
        Path(f"{name}.txt").write_text("\n".join(answers(share, seed)) + "\n", "utf-8")
    return [f"{name}={name}.txt" for name in shares]


def test_a_pair_of_single_runs_is_tested_as_right_and_wrong_answers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, report = score(*write_files(base=0.5, one=0.7, two=0.9))
    [pair] = report["variants"][0]["pairs"]
    assert (pair["test"], pair["same"]) == ("exact McNemar", None)
    assert pair["p"] == pytest.approx(scipy.stats.binomtest(pair["fixed"], pair["fixed"] + pair["broken"]).pvalue)
    assert pair["p_adjusted"] == pair["p"]


def test_a_metric_that_is_no_mean_of_examples(tmp_path, monkeypatch):
    """Its statistics come from the predictions."""
    monkeypatch.chdir(tmp_path)
    _, report = score(*write_files(base=0.5, one=0.7, two=0.9), metric="macro_f1")
    [table] = report["variants"]
    [pair] = table["pairs"]
    tuned = [cell["comparisons"][0]["tuned"] for cell in report["cells"]]
    assert [row["score"] for row in table["scores"]] == pytest.approx(tuned)
    assert pair["lift"] == pytest.approx(tuned[1] - tuned[0])
    assert (pair["test"], table["metric"]) == ("paired randomization", "macro_f1")


def test_one_variant_has_no_pairs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, report = score(*write_files(base=0.5, one=0.7))
    assert report["variants"] == []
    assert 'id="variants"' not in folder.page.read_text("utf-8")
    assert "Variants of one model" not in folder.page.with_name("report.md").read_text("utf-8")


# Statistics with seeds on both sides


def mean(sums):
    return sums[..., 0] / np.maximum(sums[..., 1], 1)


def sample(seeds, n=40, rng=0, resamples=2000):
    """Variants of so many seeds each, scored on the same examples after a base; all of them are of one kind."""
    scores = np.random.default_rng(rng).beta(0.6, 1, (1 + sum(seeds), n))
    arms = variant_pairs.arms_of(np.stack([scores, np.ones_like(scores)], axis=-1), mean, np.arange(n), seeds, zero_one=False)
    return scores, stats.resample([arms], resamples, 3)[0]


def test_order_of_variants_changes_the_sign_alone():
    scores, forward = sample((2, 3))
    statistics = np.stack([scores, np.ones_like(scores)], axis=-1)[[0, 3, 4, 5, 1, 2]]
    backward = stats.resample([variant_pairs.arms_of(statistics, mean, np.arange(40), (3, 2), zero_one=False)], 2000, 3)[0]
    one, other = forward.difference(2, 1), backward.difference(1, 2)
    assert (one.value, one.low, one.high, one.p) == pytest.approx((other.value, other.low, other.high, other.p))
    mirrored = forward.difference(1, 2)
    assert (mirrored.value, mirrored.p) == pytest.approx((-one.value, one.p))


def test_a_variant_against_one_run_is_tested_as_against_a_base():
    scores, both = sample((1, 3))
    arms = stats.stack(np.stack([scores, np.ones_like(scores)], axis=-1)[1:], mean, None, 3)
    main = stats.resample([arms], 2000, 3)[0].difference(stats.TUNED, stats.BASE)
    assert vars(both.difference(2, 1)) == pytest.approx(vars(main))


@pytest.mark.parametrize("seeds", [(2, 2), (2, 3)])
def test_randomization_swaps_every_seed_with_every_other(seeds):
    _, small = sample(seeds, n=8)
    arms = small.arms
    values = []
    for way in itertools.product([0.0, 1.0], repeat=8):
        gaps = []
        for one, other in itertools.product(range(8)[arms.rows(2)], range(8)[arms.rows(1)]):
            moved = (arms.sums[:, one] - arms.sums[:, other]) * np.array(way)[:, None]
            gaps.append(mean((arms.sums[:, one] - moved).sum(axis=0)) - mean((arms.sums[:, other] + moved).sum(axis=0)))
        values.append(np.mean(gaps))
    expected = np.mean(np.abs(values) >= abs(small.observed[2] - small.observed[1]) - 1e-12)
    assert stats.randomization(arms, 2, 1, small.swap_sums, 2000) == pytest.approx(expected)


def test_an_interval_holds_the_seeds_of_both_sides():
    scores, both = sample((2, 4))
    variance = both.seed_variance(2, 1)
    of_one, of_other = scores[3:].mean(axis=1), scores[1:3].mean(axis=1)
    assert (variance.between, variance.second.between) == pytest.approx((of_one.std(ddof=1) / 2, of_other.std(ddof=1) / 2**0.5))
    assert variance.common**2 == pytest.approx(max(0.0, variance.examples**2 - variance.rest**2 - variance.second.rest**2))
    half = np.hypot(np.hypot(1.96 * variance.common, t_quantile(0.05, 4) * variance.between), t_quantile(0.05, 2) * variance.second.between)
    assert variance.reach(1.96 * variance.examples, 0.95) == pytest.approx(max(half, 1.96 * variance.examples))
    assert both.difference(2, 1).p >= variance.p(abs(both.observed[2] - both.observed[1]))
    with pytest.raises(AssertionError):
        variance.smallest_effect(0.95)


@pytest.mark.parametrize(("spread", "seeds"), [((0.0, 0.0), (2, 2)), ((1.0, 1.0), (2, 2)), ((3.0, 0.5), (2, 5)), ((2.0, 2.0), (3, 4))])
def test_equal_variants_are_called_different_no_more_often_than_the_level(spread, seeds):
    """Of differences with standard error 1 over examples, and seeds of their own on both sides."""
    rng = np.random.default_rng(0)
    false, draws = 0, 4000
    quantiles = z_quantile(0.05), *(t_quantile(0.05, count) for count in seeds)
    for _ in range(draws):
        runs = [of_seed * rng.normal(size=count) for of_seed, count in zip(spread, seeds, strict=True)]
        between = [run.std(ddof=1) / len(run) ** 0.5 for run in runs]
        second = SeedVariance(seeds[1], 1.0, between[1], 0.0)
        reach = SeedVariance(seeds[0], 1.0, between[0], 0.0, second).reach(quantiles[0], 0.95)
        false += abs(runs[0].mean() - runs[1].mean() + rng.normal()) > reach
    assert false / draws <= 0.05 + 3 * (0.05 * 0.95 / draws) ** 0.5


def test_same_goes_before_worse_and_needs_its_margin():
    n = 4000
    scores = np.full((3, n), 0.5)
    scores[1] += 0.02 * np.random.default_rng(0).normal(size=n)
    scores[2] = scores[1] - 0.01
    arms = variant_pairs.arms_of(np.stack([scores, np.ones_like(scores)], axis=-1), mean, np.arange(n), (1, 1), zero_one=False)
    resampled = stats.resample([arms], 500, 0)[0]
    words = [variant_pairs.compare(resampled, margin, "holm")[0].verdict for margin in (None, 0.02, 0.005)]
    assert words == [verdict.WORSE, verdict.SAME, verdict.WORSE]


def test_report_json_is_json(scored):
    folder, report = scored
    assert json.loads(folder.page.with_name("report.json").read_text("utf-8"))["variants"] == report["variants"]
