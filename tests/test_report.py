"""The report says what its inputs say, shows everything, runs nothing that a model wrote and asks no network."""

import json
import re
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from pipeline.commands.report_table import summary
from pipeline.measures import claims
from pipeline.page import cells, checks_section, claims_section, examples_section, fmt, render, sweep_section
from pipeline.page.svg import THEME
from pipeline.scoring import stats
from pipeline.stages import report
from tests.report_inputs import BuiltReport, Inputs


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    return BuiltReport(Inputs(tmp_path_factory.mktemp("plain"), {"question": "Does it help?"}, n=60))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> BuiltReport:
    recipe = {"finetune": {"seeds": [1, 0]}, "sweep": {"finetune.rank": [4, 8, 16]}}
    return BuiltReport(Inputs(tmp_path_factory.mktemp("swept"), recipe))


def both(plain: BuiltReport, swept: BuiltReport) -> list[BuiltReport]:
    return [plain, swept]


def test_comparisons_are_those_of_the_comparison_folders(plain: BuiltReport, swept: BuiltReport) -> None:
    seen = 0
    for output in both(plain, swept):
        for cell in output.json["cells"]:
            comparison = cell["comparisons"][0]
            written = output.rows(f"{cell['cell']}.comparison", "comparisons.jsonl")[0]
            judged = ("p_adjusted", "verdict", "smallest_effect")
            names = [name for name in written if name not in judged]
            assert [comparison[name] for name in names] == [written[name] for name in names]
            errors = comparison["seed_errors"]
            stricter = claims.effect_inflation(output.json["family"], output.json["confidence"], output.json["correction"], errors)
            assert comparison["smallest_effect"] == pytest.approx(stricter * written["smallest_effect"])
            assert comparison["verdict"] in ("improved", "worse", "inconclusive")
            seen += 1
    assert seen == 8


def test_p_is_corrected_over_all_cells(swept: BuiltReport) -> None:
    """Holm over six tests: the smallest p counts six times."""
    family = [cell["comparisons"][0] for cell in swept.json["cells"]]
    assert swept.json["family"] == swept.facts["comparisons"] == 6
    assert min(row["p_adjusted"] for row in family) == pytest.approx(6 * min(row["p"] for row in family))


def test_groups_of_examples_are_counted_from_their_scores(plain: BuiltReport) -> None:
    for cell in plain.json["cells"]:
        row, groups = cell["comparisons"][0], cell["examples"]
        gained, lost, *_ = groups["classes"].values()
        assert (gained, lost) == (row["fixed"], row["broken"])
        assert sum(groups["classes"].values()) == row["n"] == 60
    assert list(plain.json["cells"][0]["examples"]["classes"]) == ["fixed", "broken", "both right", "both wrong"]
    assert list(plain.json["cells"][1]["examples"]["classes"]) == ["gained", "lost", "equal"]


@pytest.mark.parametrize(
    ("base", "tuned", "zero_one", "expected"),
    [
        (0.0, [1.0, 0.0], True, "fixed"),
        (1.0, [1.0, 0.0], True, "broken"),
        (1.0, [1.0, 1.0], True, "both right"),
        (0.0, [0.0], True, "both wrong"),
        (0.3, [0.1 + 0.2], False, "equal"),
        (0.3, [0.2, 0.5], False, "gained"),
        (0.3, [0.0, 0.5], False, "lost"),
    ],
)
def test_kind_of_an_example(base: float, tuned: list[float], zero_one: bool, expected: str) -> None:
    assert examples_section.change_class(base, tuned, zero_one) == expected


def test_answers_and_prices_are_those_of_the_inputs(swept: BuiltReport) -> None:
    for cell in swept.json["cells"]:
        counts = swept.load(f"{cell['cell']}.comparison", "counts.json")
        assert [{name: value for name, value in arm.items() if name != "arm"} for arm in cell["answers"]] == [
            counts["base"],
            *counts["tuned"],
        ]
        assert [arm["arm"] for arm in cell["answers"]] == ["base", "fine-tuned, seed 0", "fine-tuned, seed 1"]
        for seed, key in zip(cell["seeds"], cell["adapters"], strict=True):
            facts = swept.load(f"{cell['cell']}.adapter{seed}", "manifest.json")["facts"]
            adapter = swept.json["adapters"][key]
            assert all(adapter[name] == facts[name] for name in ("trainable_parameters", "adapter_bytes", "steps", "kept_step", "dev_loss"))
            assert adapter["seconds"] == facts["train_seconds"]


def test_every_cell_stands_on_every_page(swept: BuiltReport) -> None:
    assert len(swept.json["cells"]) == 6
    for cell in swept.json["cells"]:
        assert f'<tr id="{cell["cell"]}">' in swept.html
        assert f"| {cell['task']} | {cell['coordinates']} |" in swept.md
        assert cell["sentence"] in swept.md


def test_tables_hold_the_written_figures(plain: BuiltReport) -> None:
    for cell in plain.json["cells"]:
        row = cell["comparisons"][0]
        line = re.search(rf'<tr id="{cell["cell"]}">.*?</tr>', plain.html, re.DOTALL)
        assert line
        assert fmt.typeset(fmt.interval(row)) in line[0]
        assert fmt.score(row, "base") in line[0]
        assert fmt.score(row, "tuned") in line[0]


def index_of(output: BuiltReport) -> list[dict[str, Any]]:
    index: list[dict[str, Any]] = json.loads(re.search(r'id="index">(.*?)</script>', output.html)[1])["cells"]
    return index


def test_examples_are_carried_word_for_word(plain: BuiltReport) -> None:
    index = index_of(plain)
    assert len(index) == 2
    for cell in index:
        examples = (plain.work.inputs[f"{cell['cell']}.comparison"] / "examples.jsonl").read_text("utf-8")
        assert plain.carried(cell["file"]) == examples
        assert [arm["name"] for arm in cell["arms"]] == ["base", "tuned"]


def test_cells_of_a_comparison_share_what_is_carried(swept: BuiltReport) -> None:
    index = index_of(swept)
    assert len({cell["file"] for cell in index}) == 6
    assert [arm["seed"] for arm in index[0]["arms"]] == [None, 0, 1]
    assert len(re.findall(r'id="(file-\w+)"', swept.html)) == len(set(re.findall(r'id="(file-\w+)"', swept.html)))


def test_examples_that_are_not_carried_are_named_with_their_folder(plain: BuiltReport) -> None:
    cell = cells.open_cells(plain.work)[0]
    groups = examples_section.section(cell, plain.json["cells"][0]["comparisons"][0], embedded_ids=())
    assert groups["file"] is None
    changed = json.loads(json.dumps(plain.json))
    changed["cells"][0]["examples"] = groups
    charts = {path.stem: path.read_text("utf-8") for path in (plain.work.out / "charts").glob("*.svg")}
    html = render.page(changed, {}, charts)
    assert f"{cell.inputs['comparison'].path.name}/examples.jsonl" in html
    assert '"cell": "cell0000"' not in html


def test_sweep_shows_every_point_and_run(swept: BuiltReport) -> None:
    sweep = swept.json["sweep"]
    assert (sweep["axis"], sweep["log"], sweep["axes"]) == ("finetune.rank", 2, [{"axis": "finetune.rank", "log": 2}])
    assert [point["value"] for point in sweep["points"]] == [4, 8, 16] * 2
    for point in sweep["points"]:
        rows = swept.rows(f"{point['cell']}.comparison", "examples.jsonl")
        base = sum(row["base"]["scores"][point["metric"]] for row in rows) / len(rows)
        for run in point["runs"]:
            tuned = sum(row["tuned"][run["seed"]]["scores"][point["metric"]] for row in rows) / len(rows)
            assert run["lift"] == pytest.approx(tuned - base)
        assert point["trainable_parameters"] == 1000 * point["value"]
        assert point["seconds"] == 100 + point["value"]
        assert fmt.count(point["trainable_parameters"]) in swept.html
        assert fmt.size(point["adapter_bytes"]) in swept.md
    assert "Sweep over rank" in swept.html
    assert {path.stem for path in (swept.work.out / "charts").iterdir()} >= {"scores", "loss0", "sweep0-rank", "sweep1-rank"}


@pytest.mark.parametrize(
    ("swept_keys", "axes"),
    [
        ({"finetune.rank": [4, 64]}, {"finetune.rank": 2}),
        ({"finetune.rank": [4, 64], "finetune.learning_rate": [1e-4, 1e-3]}, {"finetune.rank": 2}),
        ({"prepare.train_examples": [100, 900], "finetune.rank": [4, 64]}, {"finetune.rank": 2, "prepare.train_examples": None}),
        ({"prepare.train_examples": [100, 1000], "finetune.rank": [4]}, {"prepare.train_examples": 10}),
        ({"prepare.train_examples": [100, 900], "finetune.epochs": [1, 2]}, {"prepare.train_examples": None}),
        ({"finetune.learning_rate": [1e-5, 1e-3]}, {"finetune.learning_rate": 10}),
        ({"finetune.epochs": [1, 2, 3]}, {"finetune.epochs": None}),
        ({"finetune.epochs": [1, 2], "finetune.dropout": [0, 0.1]}, {}),
        ({"finetune.rslora": [True, False]}, {}),
        ({"base": ["a", "b"]}, {}),
        ({"finetune.rank": [16]}, {}),
        ({"finetune.dropout": [0.0, 0.1]}, {"finetune.dropout": None}),
        ({"finetune.dropout": [0, 0.0]}, {}),
    ],
)
def test_axes_of_a_sweep(swept_keys: dict[str, list[Any]], axes: dict[str, int | None]) -> None:
    assert {key: sweep_section.log_base(key, swept_keys) for key in sweep_section.axes_of(swept_keys)} == axes


def test_point_is_told_from_others_on_its_line(swept: BuiltReport) -> None:
    cell = swept.json["cells"][0] | {"point": {"finetune.rank": 4, "finetune.learning_rate": 1e-4}}
    point = sweep_section.sweep_point(cell, "finetune.rank", swept.json["adapters"])
    assert (point["value"], point["series"]) == (4, {"finetune.learning_rate": 1e-4})


def test_sweep_without_a_number_is_a_table(tmp_path: Path) -> None:
    output = BuiltReport(
        Inputs(tmp_path, {"tasks": ["boolq"], "sweep": {"finetune.rslora": [True, False], "finetune.schedule": ["cosine", "linear"]}}, n=12)
    )
    assert (output.json["sweep"]["axis"], output.json["sweep"]["axes"]) == (None, [])
    assert [point["point"]["finetune.schedule"] for point in output.json["sweep"]["points"]] == ["cosine", "linear"] * 2
    assert output.html.count('<th scope="row">boolq</th><td class="n">on</td>') == 2
    assert "rslora off, schedule linear" in output.md
    assert not list((output.work.out / "charts").glob("sweep*"))


def test_run_of_a_seed_is_left_out_where_the_metric_is_no_mean() -> None:
    primary = {"base": 0.25, "tuned": 0.5}
    cell = cells.Cell("cell0000", "t", "b", {}, 4, [7], {}, {})
    assert examples_section.lift_by_seed(cell, [0.0, 0.5], [[0.5], [0.5]], primary) == [{"seed": 7, "tuned": 0.5, "lift": 0.25}]
    assert examples_section.lift_by_seed(cell, [0.0, 0.5], [[0.5], [0.9]], primary) is None


def warned(inputs: Inputs) -> str:
    work = inputs.work()
    return "\n".join(checks_section.warnings(cells.open_cells(work), work.params["recipe"]))


def test_clean_inputs_warn_of_nothing(plain: BuiltReport, swept: BuiltReport) -> None:
    assert plain.json["warnings"] == swept.json["warnings"] == []
    assert '<aside class="warnings"' not in plain.html


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"recipe": {"trust_remote_code": True}}, "trust_remote_code is on"),
        ({"recipe": {"compare": {"correction": "none"}}}, "correction is none"),
        ({"provenance": {"tuned0": {"packages": {"torch": "2.12.0"}}}}, "torch 2.11.0 and 2.12.0"),
        ({"provenance": {"base": {"gpu": None}}}, "Test CPU 9000 and NVIDIA T1 (CUDA 12.8)"),
        (
            {"provenance": {"tuned0": {"machine": {"tokens": 1}}}},
            "Made with different --tokens: by device for adapter0, base; 1 for tuned0.",
        ),
        (
            {"alive": False, "recipe": {"compare": {"liveness": False}}},
            "adapter (seed 0) has no effect on the logits: fine-tuned results may just be those of the base. (boolq; titles)",
        ),
    ],
)
def test_faults_are_warned_of(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    assert expected in warned(Inputs(tmp_path, **{"recipe": {}, "n": 12, **changes}))


def test_many_answers_cut_off_are_noted(tmp_path: Path) -> None:
    work = Inputs(tmp_path, {}, n=40).work()
    opened = cells.open_cells(work)
    assert not [note for note in checks_section.notes(opened, work.params["recipe"]) if "truncated" in note]
    path = work.inputs["cell0001.comparison"] / "counts.json"
    counts = json.loads(path.read_text("utf-8"))
    counts["base"]["truncated"] = 8
    path.write_text(json.dumps(counts), "utf-8")
    (note,) = [note for note in checks_section.notes(opened, work.params["recipe"]) if "truncated" in note]
    assert note.startswith("At least 20 % of base outputs were truncated at max_new_tokens or in a repetition loop")
    assert note.endswith("(titles)")


def test_warnings_stand_on_every_page(tmp_path: Path) -> None:
    dirty = {"tuned0": {"git": {"commit": "f" * 40, "dirty": True}}}
    output = BuiltReport(
        Inputs(tmp_path, {"trust_remote_code": True, "compare": {"correction": "none"}, "tasks": ["boolq"]}, n=12, provenance=dirty)
    )
    assert '<aside class="warnings"' in output.html
    assert "> **Warning:** trust_remote_code is on" in output.md
    assert "Warning: correction is none" in printed(output.json, 80)
    assert "p (not corrected)" in output.json["cells"][0]["sentence"]
    assert any("ffffffffffff" in note for note in output.json["notes"])
    assert output.facts["warnings"] == 2


def test_lineage_names_every_input(swept: BuiltReport) -> None:
    listed = {artifact["key"]: artifact for artifact in swept.json["artifacts"]}
    for name, folder in swept.work.inputs.items():
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        assert listed[manifest["key"]]["digest"] == manifest["digest"]
        assert name in listed[manifest["key"]]["inputs"]
        assert manifest["key"] in swept.html
        assert manifest["digest"] in swept.html
    assert [place["packages"]["torch"] for place in swept.json["surroundings"]] == ["2.11.0"]
    assert "learning_rate: 0.0002" in swept.html
    assert list(swept.json["seconds"]) == ["prepare", "finetune", "generate", "compare"]
    assert sum(swept.json["seconds"].values()) == pytest.approx(12.5 * len(listed))


def test_shared_comparison_is_one_test(tmp_path: Path) -> None:
    work = Inputs(tmp_path, {"tasks": ["boolq"]}, n=12).work()
    twin = {name.replace("cell0000", "cell0001"): folder for name, folder in work.inputs.items()}
    params = {**work.params, "cells": [*work.params["cells"], {**work.params["cells"][0], "cell": "cell0001"}]}
    opened = cells.open_cells(replace(work, params=params, inputs=work.inputs | twin))
    judged = claims_section.judge(opened, work.params["recipe"])
    comparisons, family = judged.comparisons, judged.claims
    assert comparisons["cell0000"] == comparisons["cell0001"]
    assert comparisons["cell0000"][0]["p_adjusted"] == comparisons["cell0000"][0]["p"]
    assert [claim.id for claim in family] == ["cell0000.lift"]


def test_equal_inputs_give_equal_bytes(plain: BuiltReport) -> None:
    again = replace(plain.work, out=plain.work.out.with_name("again"))
    again.out.mkdir()
    report.run(again)
    files = sorted(path.relative_to(again.out) for path in again.out.rglob("*") if path.is_file())
    cards = list((plain.work.out / "cards").iterdir())
    assert len(cards) == len([source for source in plain.work.inputs if ".adapter" in source])
    assert len(files) == 3 + len(cards) + len(list((plain.work.out / "charts").iterdir()))
    assert all((again.out / file).read_bytes() == (plain.work.out / file).read_bytes() for file in files)


def test_charts_follow_the_theme(swept: BuiltReport) -> None:
    charts = sorted((swept.work.out / "charts").glob("*.svg"), key=lambda path: path.stem)
    by_task = [f"{name}{number}{axis}" for name, axis in (("loss", ""), ("sweep", "-rank")) for number in (0, 1)]
    assert [path.stem for path in charts] == sorted([*by_task, "scores", "scores-narrow"])
    assert [path.read_bytes()[:4] for path in sorted((swept.work.out / "charts").glob("*.png"))] == [b"\x89PNG"] * len(charts)
    for path in charts:
        text = path.read_text("utf-8")
        assert ElementTree.fromstring(text).get("aria-label")
        assert "prefers-color-scheme:dark" in text
        assert set(re.findall(r'(?:fill|stroke)="(#[^"]*)"', text)) == set(), path.name
        assert set(re.findall(r"var\(--(\w+)\)", text)) <= THEME.keys()
    assert "rank 16: lift" in charts[-1].read_text("utf-8")


def test_long_curves_are_thinned_and_keep_their_mean(tmp_path: Path) -> None:
    output = BuiltReport(Inputs(tmp_path, {"tasks": ["boolq"]}, n=12, steps=1000))
    (curve,) = [adapter["curve"] for adapter in output.json["adapters"].values()]
    losses = [float(line.split(",")[2]) for line in (output.work.inputs["cell0000.adapter0"] / "curve.csv").read_text().splitlines()[1:]]
    assert (curve["every"], len(curve["train"]), len(curve["dev"])) == (7, 143, 100)
    assert curve["train"][0] == [7, pytest.approx(sum(losses[:7]) / 7)]
    assert "the mean of up to 7 steps" in output.html


def printed(report_json: dict[str, Any], width: int) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(summary(report_json))
    return console.export_text()


HEAD = """\
What did fine-tuning change? (demo)
task     rank base best baseline fine-tuned     training effect verdict
────────────────────────────────────────────────────────────────────────────
"""
TABLE_LINE = "{task:<8} {rank:<4} {base:.2f}     {base:.2f} base       {tuned:.2f} {lift:>19} {verdict}"
SENTENCE = (
    "{task}, rank {rank}: {verdict}; {metric} {tuned:.2f} against {base:.2f} (base, the only baseline tested); {spelled}; "
    "p (Holm) = {p:.3f}, n = {n}"
)


def recomputed(output: BuiltReport) -> list[dict[str, Any]]:
    """What must be printed of every cell, from the scores and the intervals that were compared."""
    lines = []
    for cell in output.json["cells"]:
        (compared,) = output.rows(f"{cell['cell']}.comparison", "comparisons.jsonl")
        rows = output.rows(f"{cell['cell']}.comparison", "examples.jsonl")
        base = mean(row["base"]["scores"][compared["metric"]] for row in rows)
        tuned = mean(mean(answer["scores"][compared["metric"]] for answer in row["tuned"]) for row in rows)
        line = {"task": cell["task"], "rank": cell["rank"], "n": len(rows), "base": base, "tuned": tuned, "p": compared["p"]}
        line |= {"lift": f"{tuned - base:+.2f} [{compared['low']:.2f}, {compared['high']:.2f}]", "above_zero": compared["low"] > 0}
        line |= {"spelled": f"{tuned - base:+.2f}, 95 % interval {compared['low']:.2f} to {compared['high']:.2f}"}
        line |= {"metric": {"accuracy": "accuracy", "rougeL": "ROUGE-L"}[compared["metric"]]}
        lines.append(line)
    for line, p in zip(lines, stats.holm([line["p"] for line in lines]), strict=True):
        line |= {"p": p, "verdict": "improved" if p < 0.05 and line["above_zero"] else "inconclusive"}
    return lines


def test_terminal_table_at_eighty_columns(swept: BuiltReport) -> None:
    lines = recomputed(swept)
    table = [TABLE_LINE.format(**line) for line in lines]
    text = [line.rstrip() for line in printed(swept.json, 80).splitlines()]
    title, *head = HEAD.splitlines()
    expected = [*head, *table, "judged by: boolq accuracy, titles ROUGE-L"]
    start = text.index(expected[0])
    assert text[0] == title
    assert text[1].startswith(swept.json["summary"][0]["text"][:50]), "the answer of a sweep stands above the table"
    assert text[start : start + len(expected)] == expected
    assert max(map(len, text)) <= 80
    assert [line["verdict"] for line in lines] == [*["inconclusive"] * 2, "improved", "inconclusive", "improved", "inconclusive"]
    assert [cell["sentence"] for cell in swept.json["cells"]] == [SENTENCE.format(**line) for line in lines]


def test_long_names_still_fit_eighty_columns(swept: BuiltReport) -> None:
    report_json = json.loads(json.dumps(swept.json))
    report_json["sweep"]["keys"] = ["finetune.rank", "finetune.learning_rate"]
    for cell in report_json["cells"]:
        cell |= {"task": "customer_support_tickets_2026", "coordinates": "rank 16, learning rate 0.0002"}
    text = printed(report_json, 80).splitlines()
    assert max(map(len, text)) <= 80
    lines = recomputed(swept)
    assert all(line["lift"].partition(" ")[0] in "".join(text) for line in lines)


def test_the_headline_in_one_line() -> None:
    row = {"kind": "training effect", "metric": "rougeL", "base": 0.07, "tuned": 0.26, "baseline": "base_fewshot", "baseline_score": 0.1}
    row |= {
        "effect": 0.16,
        "low": 0.14,
        "high": 0.18,
        "n": 500,
        "p_adjusted": 4e-5,
        "verdict": "improved",
        "confidence": 0.95,
        "this_task_only": False,
    }
    assert fmt.headline("titles", row, "the few-shot base", "holm") == (
        "titles: improved; ROUGE-L 0.26 against 0.10 (best baseline: few-shot base); +0.16, 95 % interval 0.14 to 0.18; base 0.07, "
        "p (Holm) < 0.001, n = 500"
    )
    unsure = row | {"kind": "lift", "baseline": "base", "baseline_score": 0.07, "verdict": "inconclusive", "p_adjusted": 0.25}
    sentence = fmt.headline("titles", unsure | {"effect": -0.001, "low": -0.02, "high": 0.02}, "the base", "none")
    assert sentence == (
        "titles: inconclusive; ROUGE-L 0.26 against 0.07 (base, the only baseline tested); 0.00, 95 % interval -0.02 to 0.02; "
        "p (not corrected) = 0.250, n = 500"
    )


@pytest.mark.parametrize(
    ("smallest", "text"),
    [
        (0.034, "minimum detectable effect: 0.034 (80 % power)"),
        (None, "minimum detectable effect: unknown"),
        (1.0, "minimum detectable effect: none, this test set is too small"),
    ],
)
def test_minimum_detectable_effect(smallest: float | None, text: str) -> None:
    assert fmt.smallest_effect({"smallest_effect": smallest, "low": -0.02, "high": 0.02}) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (fmt.signed(-0.0, 2), "0.00"),
        (fmt.signed(0.19, 2), "+0.19"),
        (fmt.number(None), "not known"),
        (fmt.decimals(0.17, 0.21), 3),
        (fmt.decimals(-0.0004, 0.1751), 4),
        (fmt.decimals(0.0, 0.5), 3),
        (fmt.decimals(-0.033, -0.0203, -0.02), 4),  # three decimals would end on the margin
        (fmt.decimals(0.02, 0.5, 0.02), 3),
        (fmt.change(0.31, 0.27, 0.35), "+0.31 [0.27, 0.35]"),
        (fmt.change(0.024, 0.004, 0.044), "+0.024 [0.004, 0.044]"),  # two decimals would touch zero
        (fmt.change(0.2, 0.0, 0.4), "+0.20 [0.00, 0.40]"),
        (fmt.metric("entity_f1"), "entity F1"),
        (fmt.three_figures(0.29965), "0.300"),
        (fmt.three_figures(123.4), "123"),
        (fmt.three_figures(None), ""),
        (fmt.seconds(3.21), "3.2 s"),
        (fmt.seconds(3599.9), "1 h 00 min"),
        (fmt.seconds(7500), "2 h 05 min"),
        (fmt.size(999), "999 B"),
        (fmt.size(4700), "4.59 KiB"),
        (fmt.size(1023 * 2**20), "0.999 GiB"),
        (fmt.share(3, 200), "3 (1.5 %)"),
        (fmt.coordinates({"finetune.rank": 16, "finetune.learning_rate": 2e-4}), "rank 16, learning rate 0.0002"),
        (fmt.coordinates({"prepare.seed": 1, "compare.seed": 2}), "prepare.seed 1, compare.seed 2"),
        (fmt.typeset("0.1 -> 0.2 [-0.1, qwen2-0.5b]"), "0.1 → 0.2 [−0.1, qwen2-0.5b]"),
        (fmt.typeset("-0.2 of base--r8-s1--3b60 (out/-3)"), "−0.2 of base--r8-s1--3b60 (out/-3)"),
        (render.plain("a|b *c* [x](y) <b>\n`d`"), r"a\|b \*c\* [x\](y) \<b> \`d\`"),
    ],
)
def test_words(text: object, expected: object) -> None:
    assert text == expected
