"""Renders the report as one HTML file that needs no other file and no network, and as Markdown for a pull request."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

from pipeline import arms
from pipeline.config.recipe import VARIANT, build
from pipeline.measures import names
from pipeline.measures.cell_types import ArmRow, CellRow
from pipeline.measures.report_types import Report
from pipeline.measures.rest_test import MIN_GROUPS
from pipeline.page import (
    assets,
    charts_scores,
    class_tables,
    debugging_section,
    fmt,
    opening_section,
    preliminary,
    prompt_excerpt,
    rank_section,
    setup_section,
    slices_section,
    static_examples,
    tuning_section,
)
from pipeline.page.anchors import row_id, shared_link, size_id
from pipeline.page.arms_section import without_repeats
from pipeline.page.cells import swept
from pipeline.page.claims_section import suite_verdicts
from pipeline.page.svg import inline_svg, variables
from pipeline.scoring.verdict import INCONCLUSIVE, NO_VERDICT, NOT_TESTABLE, REGRESSED, SAME, qualified, tone
from pipeline.store.records import JsonObject

SECTIONS = {
    "verdict": "Verdict",
    "lifts": "Lift by task",
    "parts": "Where the lift comes from",
    "variants": "Variants of one model",
    "arms": "All arms",
    "cost": "Quality against cost",
    "forgetting": "Regressions on other tasks",
    "training": "Training",
    "tuning": "Tuning",
    "sweep": "Sweep",
    "rank": "Effective rank",
    "examples": "Examples",
    "classes": "Results by class",
    "slices": "Lift by slice",
    "debugging": "Debugged programs",
    "references": "Reference models",
    "published": "Compared with LoRA Land",
    "checks": "Checks",
    "lineage": "Provenance",
    "tests": "Statistical tests",
}
"""The headings of the sections by id; the navigation has the same words."""
BY_VARIANT = "Size and runs by variant"
"""The heading of the section on the sweep where variants alone are swept."""
SCRIPTS = ("dom", "unpack", "diff", "conversation", "example", "view", "download", "page")
"""The parts of the page's one script, in order."""
MAX_CARDS = 6
"""Up to this many cells have a card each; more are listed in a table, those of a sweep in a sentence per task. Per-cell parts then fold."""
MAX_OPEN_ROWS = 14
"""Rows of a table that is shown unfolded near the top of its section; longer ones fold."""
MAX_PRINTED_COLUMNS = 8
"""Columns of a matrix of other tasks that fit on paper."""
MAX_UNBROKEN = 8
"""Letters of a name that stands on one line in a table."""
INTERVALS = {"bca": "bootstrap, bias-corrected and accelerated", "percentile": "bootstrap, percentiles"}
SPECIAL = re.compile(r"([\\`*<|]|\](?=[(\[]))")


def page(report: Report, blocks: Mapping[str, str], charts: Mapping[str, str], records: JsonObject | None = None) -> str:
    """The HTML file.

    Args:
        blocks: packed files, by id.
        charts: SVG by name.
        records: further entries of the index, for the verification of the page.
    """
    from markupsafe import Markup

    script_text = script()
    index = {"cells": [examples_entry(cell) for cell in report["cells"] if cell["examples"]["file"]], **(records or {})}
    variables_of_page = {
        "css": Markup(stylesheet()),
        "js": Markup(script_text),
        "policy": policy(script_text),
        "theme": Markup(variables(":root")),
        "charts": {name: Markup(inline_svg(svg, name)) for name, svg in charts.items()},
        "blocks": {name: Markup(packed) for name, packed in blocks.items()},
        "index": index,
        "static_examples": static_examples.section(report, blocks),
    }
    text: str = (
        environment().get_template("report.html.jinja").render(variables_of_page | common_variables(report) | page_variables(report))
    )
    return text


def script() -> str:
    """The page's script."""
    return assets.script(SCRIPTS)


def stylesheet() -> str:
    """The page's styles."""
    return assets.stylesheet(("page",))


def policy(js: str) -> Any:
    """The content security policy: only our script may run and nothing may be fetched, whatever a model wrote."""
    from markupsafe import Markup

    rules = (
        "default-src 'none'", f"script-src {assets.policy_hash(js)}", "style-src 'unsafe-inline'", "base-uri 'none'", "form-action 'none'",
    )  # fmt: skip
    return Markup("; ".join(rules))


def markdown(report: Report) -> str:
    """The verdict for a pull request."""
    text = environment().get_template("report.md.jinja").render(common_variables(report))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def environment() -> Any:
    """The templates; compiling them takes longer than rendering a page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(assets.TEMPLATES),
        autoescape=lambda name: bool(name and name.endswith(".html.jinja")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"typeset": fmt.typeset, "md": plain, "breakable": breakable}
    templates.filters["number_head"] = lambda name: f"#{name}"
    templates.filters["metric_head"] = lambda name: f"#{fmt.metric(name)}"
    templates.filters["urlencode_all"] = lambda text: quote(str(text), safe="")
    templates.globals |= {"tone": tone, "qualified": qualified, "excerpt": prompt_excerpt.excerpt}
    return templates


def breakable(text: object) -> Any:
    """A name that may break after an underscore; a short one never breaks."""
    from markupsafe import Markup, escape

    if len(str(text)) <= MAX_UNBROKEN:
        return escape(text)
    return Markup("_<wbr>").join(escape(part) for part in str(text).split("_"))


def plain(text: object) -> str:
    """Text escaped for Markdown, on one line."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def common_variables(report: Report) -> JsonObject:
    """The template variables of page and Markdown."""
    verdicts = suite_verdicts(report)
    tasks: dict[str, list[JsonObject]] = {}
    for cell in report["cells"]:
        tasks.setdefault(cell["task"], []).append({**cell, "verdict": cell["headline"]["verdict"]})
    return {
        "report": report,
        "fmt": fmt,
        "tasks": tasks,
        "setup": setup_section.lines(report["setup"]),
        "ranked": opening_section.by_effect(report),
        "verdicts": list(report["verdicts"]),
        "several_seeds": any(len(cell["seeds"]) > 1 for cell in report["cells"]),
        "sweep_title": sweep_title(report),
        "filled": filled_sections(report),
        "recipe": yaml_of(report["recipe"]),
        "inconclusive": INCONCLUSIVE,
        "same": SAME,
        "same_within": next((cell["headline"]["same_within"] for cell in report["cells"]), None),
        "no_verdict": NO_VERDICT,
        "regressed": REGRESSED,
        "state": preliminary.title_prefix(report),
        "unfinished": preliminary.rows(report),
        "suites": [
            (cell, {**suite, "verdict": verdicts.get((cell["cell"], suite["suite"]), NOT_TESTABLE)})
            for cell in report["cells"]
            for suite in cell["forgetting"]
        ],
        "row_id": row_id,
        "shared_link": shared_link,
        "size_id": size_id,
        "max_cards": MAX_CARDS,
        "arm_label": arm_label,
        "point": ["Point"] if report["sweep"] else [],
        "sweep_heads": [f"#{fmt.key_label(key).capitalize()}" for key in swept(report["recipe"])],
        "lowest": lambda cells: lift_at_point(min(cells, key=lift_of)),
        "highest": lambda cells: lift_at_point(max(cells, key=lift_of)),
        "class_tables": class_tables,
        "slices": slices_section,
        "debugging": debugging_section,
        "rank": rank_section,
        "tuning": tuning_section,
        "fence": "`" * max(3, 1 + max(map(len, re.findall("`+", yaml_of(report["recipe"]))), default=0)),
    }


def arm_label(name: str, cell: CellRow) -> str:
    """What the page calls an arm of a cell; see Cell.tuned_label."""
    return str(cell["variant"]) if name == "tuned" and cell["predictions"] else arms.find(name, cell["constraint"]).label


def sweep_title(report: Report) -> str:
    """The heading of the section on the sweep."""
    keys = swept(report["recipe"])
    return BY_VARIANT if set(keys) == {VARIANT} else f"{SECTIONS['sweep']} over {' and '.join(map(fmt.key_label, keys))}"


def page_variables(report: Report) -> JsonObject:
    """Template variables of the page only: its sections, and flattened lists from the report."""
    data_sets = list(report["data"].values())
    overlaps = [(examples, overlap) for examples in data_sets if (overlap := examples["overlap"])]
    return {
        **arm_variables(report),
        "section_names": SECTIONS,
        "max_labelled": charts_scores.MAX_LABELLED,
        "shapes": charts_scores.shape_legend(report),
        "max_printed_columns": MAX_PRINTED_COLUMNS,
        "smallest_slice": MIN_GROUPS,
        "sections": [(key, name) for key, name in named_sections(report).items() if key in filled_sections(report)],
        "intervals": INTERVALS[report["recipe"]["compare"]["interval"]],
        "others": [(cell, row) for cell in report["cells"] for row in cell["comparisons"][1:]],
        "max_steps_per_point": max(
            (adapter["curve"]["every"] for adapter in report["adapters"].values() if adapter["curve"]["every"] > 1), default=0
        ),
        "matrix_heads": [
            f"#{column['label']}{' (loss)' if column['kind'] == 'loss' else ''}"
            for column in (report["other_tasks"]["columns"] if report["other_tasks"] else [])
        ],
        "zero_one": any(cell["examples"]["zero_one"] for cell in report["cells"]),
        "graded": any(not cell["examples"]["zero_one"] for cell in report["cells"]),
        "dropped": [(examples, reason, row) for examples in data_sets for reason, row in examples["dropped"].items()],
        "pairs": [(examples, pair) for examples, overlap in overlaps for pair in overlap["pairs"]],
        "more_pairs": sum(overlap["exact"] + overlap["near"] - len(overlap["pairs"]) for _, overlap in overlaps),
    }


def named_sections(report: Report) -> dict[str, str]:
    """The sections in their order, as the navigation calls them."""
    return SECTIONS | ({"sweep": BY_VARIANT} if sweep_title(report) == BY_VARIANT else {})


def filled_sections(report: Report) -> set[str]:
    """The sections that are not empty."""
    cells = report["cells"]
    filled = {
        "references": bool(report["references"]),
        "published": bool(report["published"]),
        "sweep": bool(report["sweep"]) and (sweep_title(report) != BY_VARIANT or any(cell["adapters"] for cell in cells)),
        "variants": bool(report["variants"]),
        "tests": bool(report["rules"]),
        "classes": any(cell["classes"] for cell in cells),
        "slices": any(cell["slices"] for cell in cells),
        "debugging": any(cell["debugging"] for cell in cells),
        "rank": any(cell["rank_use"] for cell in cells),
        "tuning": bool(report["tuning"]),
        "parts": any(cell["decomposition"] for cell in cells),
        "cost": any(cell["cost"] for cell in cells),
        "forgetting": any(cell["forgetting"] for cell in cells),
    }
    always = {"verdict", "lifts", "arms", "training", "examples", "checks", "lineage"}
    return always | {section for section, is_filled in filled.items() if is_filled}


def arm_variables(report: Report) -> JsonObject:
    """Template variables of the page on arms and their measures."""
    cells = report["cells"]
    all_arms = [arm for cell in cells for arm in cell["arms"]]
    listed = sorted({arm["name"] for arm in all_arms}, key=arms.sort_key)
    return {
        "arm_meanings": {arm["label"]: arms.find(arm["name"]).meaning for name in listed for arm in all_arms if arm["name"] == name},
        "arm_sentence": lambda name, cell: names.arm(name, cell["constraint"]),
        "columns": columns,
        "without_repeats": without_repeats,
        "any_lenient": any(arm["lenient"] is not None for arm in all_arms),
        "any_relevance": any(arm["relevance"] for arm in all_arms),
        "any_hallucination": any(arm["hallucination"] for arm in all_arms),
        "any_speed": any(arm["speed"] for arm in all_arms),
        "advice": {row["cell"]: row for row in report["advice"]},
        "labels": {cell["cell"]: cell["label"] for cell in cells},
        "max_open_rows": MAX_OPEN_ROWS,
        "priced": any(has_price(arm) for arm in all_arms),
    }


def has_price(arm: ArmRow) -> bool:
    return arm["cost"] is not None and arm["cost"]["request"] is not None


def columns(cell: CellRow) -> JsonObject:
    """Which columns of the table of arms are not empty, and their heads."""
    arms = cell["arms"]
    heads = {
        "relevance": ["#Prompt relevance (nats/token)"],
        "hallucination": ["#Hallucinated"],
        "speed": ["#Latency p50, max", "#Decode tok/s"],
        "cost": ["#USD per 1,000"],
    }
    has = {
        "relevance": any(arm["relevance"] for arm in arms),
        "hallucination": any(arm["hallucination"] for arm in arms),
        "speed": any(arm["speed"] for arm in arms),
        "cost": any(has_price(arm) for arm in arms),
        "lenient": any(arm["lenient"] is not None for arm in arms),
    }
    return {**has, "heads": [head for key, of_column in heads.items() if has[key] for head in of_column]}


def examples_entry(cell: CellRow) -> JsonObject:
    """The entry of a cell in the index, from which the script lists its examples."""
    primary = cell["comparisons"][0]
    examples = cell["examples"]
    tuned_arms = [{"name": "tuned", "label": arm_label("tuned", cell), "seed": seed} for seed in cell["seeds"]]
    rows = [arms.find(name, cell["constraint"]) for name in sorted(examples["others"], key=arms.sort_key)]
    others = [{"name": row.name, "label": row.label, "seed": None} for row in rows]
    return {
        "cell": cell["cell"],
        "label": cell["label"],
        "metric": fmt.metric(primary["metric"]),
        "key": primary["metric"],
        "zero_one": examples["zero_one"],
        "classes": list(examples["classes"]),
        "labels": class_tables.choices(cell["classes"]),
        "baseline": cell["headline"]["baseline"],
        "seeds": len(tuned_arms),
        "arms": [{"name": "base", "label": arms.find("base").label, "seed": None}, *tuned_arms, *others],
        "file": examples["file"],
    }


def lift_at_point(cell: CellRow) -> str:
    """A cell's lift and its point of the sweep."""
    row = cell["comparisons"][0]
    return fmt.typeset(f"{fmt.signed(row['lift'], fmt.decimals(row['low'], row['high']))} at {cell['coordinates']}")


def lift_of(cell: CellRow) -> float:
    return cell["comparisons"][0]["lift"]


def yaml_of(recipe: JsonObject) -> str:
    """The recipe with every default, in the order of its definition, which the plan's canonical JSON has lost."""
    import yaml

    full = build(recipe).model_dump(mode="json")
    text: str = yaml.safe_dump(full, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)
    return text
