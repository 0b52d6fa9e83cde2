"""Writes docs/verdicts.md from benchmarks/results/verdicts.json. Run: python -m benchmarks.peers.tables."""

import json
from math import sqrt
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "verdicts.json"
PAGE = ROOT / "docs" / "verdicts.md"
OURS = "loralift"
OURS_WITH_MARGIN = "loralift, same within 2 points"
"""In the table of the verdict *same* only."""
MAX_GAP = 0.03
"""How far our power may stay behind the best valid tool's."""
Row = dict[str, Any]
INTRODUCTION = """# How often the verdicts are wrong, and what they find

Written from `benchmarks/results/verdicts.json` by `python -m benchmarks.peers.tables`; the numbers come from `python -m
benchmarks.verdicts`, whose file says how data sets are drawn. Each cell has {data_sets:,} simulated data sets. *Equal*: the arms score
the same; then every *improved* and every *worse* is false. The level is {level:.0%}, and with {data_sets:,} data sets a tool is called
above it from {tolerance:.1%} on (three standard errors). *0/1*: 6 % of the answers flip each way for no reason. *graded*: half of the
scores change. *clustered*: four questions to a document, and documents gain or lose together. *3 seeds*: three training runs that
share half of their flips; *apart*: their true effects differ with a standard deviation of 1 point, and the verdict is about the mean
over runs.
"""
PEERS = """
The tools: **loralift** (`stats.resample`, its difference and `verdict.decide`, one test; 2,000 resamples instead of 10,000);
**lm-eval** {lm_eval} (the z-test of two means of its model comparator on its standard errors); **mlflow** {mlflow} (the p that
`assert_improved` goes by); **evalstats** {evalstats} (the interval that it picks for the scores); **nel compare** {nemo-evaluator}
(BLOCK or WARN in either direction, each at 5 %, its default, and at 2.5 % so that both together have 5 %; *same* where both directions
say PASS). Scores of several seeds are averaged for tools without seeds; only ours knows the documents. nel finds nothing in graded
scores since an answer counts as right there from any score above 0, so that none flips.
"""


def tolerance(results: Row) -> float:
    level: float = results["level"]
    return level + 3 * sqrt(level * (1 - level) / results["data_sets"])


def false_share(row: Row, tool: str) -> float:
    """Share of data sets with a direction that is not the true one."""
    words = row["tools"][tool]
    return float(words["worse"] + (words["improved"] if row["gain"] == 0 else 0))


def tools_of(results: Row) -> list[str]:
    """Ours first; those that decided on every cell."""
    cells = results["cells"]
    others = sorted(set(cells[0]["tools"]) - {OURS, OURS_WITH_MARGIN})
    return [OURS, *(tool for tool in others if all(tool in row["tools"] for row in cells))]


def is_valid(results: Row, tool: str, kind: str) -> bool:
    """Whether a tool keeps the level in all cells of a kind."""
    return all(false_share(row, tool) <= tolerance(results) for row in results["cells"] if row["kind"] == kind)


def above_level(results: Row, tool: str = OURS) -> list[Row]:
    return [row for row in results["cells"] if false_share(row, tool) > tolerance(results)]


def best_valid(results: Row, row: Row) -> tuple[str, float]:
    """The tool with the most power in a cell among those that keep the level for its kind, or ours."""
    tools = [tool for tool in tools_of(results) if tool == OURS or is_valid(results, tool, row["kind"])]
    best = max(tools, key=lambda tool: row["tools"][tool]["improved"])
    return best, row["tools"][best]["improved"]


def lost(results: Row) -> list[Row]:
    """Cells with an effect in which the best valid tool finds more than MAX_GAP more than ours."""
    return [
        row for row in results["cells"] if row["gain"] and best_valid(results, row)[1] - row["tools"][OURS]["improved"] > MAX_GAP + 1e-9
    ]


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * 2}{'--:|' * (len(heads) - 2)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def level_table(results: Row) -> str:
    tools = tools_of(results)

    def cell(row: Row, tool: str) -> str:
        share = false_share(row, tool)
        return f"**{percent(share)}**" if share > tolerance(results) else percent(share)

    rows = [[row["kind"], f"{row['n']:,}", *(cell(row, tool) for tool in tools)] for row in results["cells"] if not row["gain"]]
    return table(["scores", "n", *tools], rows)


def reports_table(results: Row) -> str:
    tools = tools_of(results)
    rows = [
        [row["kind"], f"{row['n']:,}", *(percent(row["false_reports"][tool]) for tool in tools)]
        for row in results["cells"]
        if not row["gain"]
    ]
    return table(["scores", "n", *tools], rows)


def power_table(results: Row) -> str:
    tools = tools_of(results)
    rows = []
    for row in results["cells"]:
        if row["gain"]:
            best, power = best_valid(results, row)
            shares = [percent(row["tools"][tool]["improved"]) + ("" if is_valid(results, tool, row["kind"]) else " *") for tool in tools]
            gap = power - row["tools"][OURS]["improved"]
            shown_gap = f"**{percent(gap)}** ({best})" if gap > MAX_GAP + 1e-9 else percent(gap)
            rows.append([row["kind"], f"{row['n']:,}", row["effect"], *shares, shown_gap])
    return table(["scores", "n", "true effect", *tools, "ours behind"], rows)


def same_table(results: Row) -> str:
    tools = [OURS_WITH_MARGIN, *(tool for tool in tools_of(results) if any(row["tools"][tool]["same"] for row in results["cells"]))]
    rows = [
        [row["kind"], f"{row['n']:,}", row["effect"], *(percent(row["tools"][tool]["same"]) for tool in tools)] for row in results["cells"]
    ]
    return table(["scores", "n", "true effect", *tools], rows)


def summary(results: Row) -> str:
    """What holds, and where it does not."""
    above, behind_by_much = above_level(results), lost(results)
    effects = sum(1 for row in results["cells"] if row["gain"])

    def names(rows: list[Row]) -> str:
        return "; ".join(f"{row['kind']}, n = {row['n']:,}, {row['effect']}" for row in rows)

    lines = [f"- Above the level: {len(above)} of {len(results['cells'])} cells{': ' + names(above) if above else ''}."]
    lines.append(
        f"- More than {100 * MAX_GAP:.0f} points of power behind the best valid tool: {len(behind_by_much)} of {effects} cells"
        f"{': ' + names(behind_by_much) if behind_by_much else ''}."
    )
    if shares := [row["tools"][OURS_WITH_MARGIN]["same"] for row in results["cells"] if row["gain"] >= results["margin"]]:
        lines.append(f"- *Same* although the true effect is the margin or more: in at most {max(shares):.1%} of the data sets of a cell.")
    return "\n".join(lines)


def page(results: Row) -> str:
    versions = {"lm_eval": "", "mlflow": "", "evalstats": "", "nemo-evaluator": "", **results["peers"]}
    return "\n".join(
        [
            INTRODUCTION.format(**results, tolerance=tolerance(results)),
            "## Ours\n",
            summary(results),
            PEERS.format(**versions),
            "## False verdicts where the arms are equal, in percent (bold: above the level)\n",
            level_table(results),
            "\n## Reports of ten equal tasks with a false verdict on any of them, in percent (Holm for ours; the others do not correct)\n",
            reports_table(results),
            "\n## Power: verdicts *improved*, in percent (a star: the tool does not keep the level for these scores; bold: a lost cell)\n",
            power_table(results),
            f"\n## The verdict *same*, in percent; false from {100 * results['margin']:.0f} points on\n",
            same_table(results),
            "",
        ]
    )


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(RESULTS.read_text("utf-8"))["results"]), "utf-8")
    print(PAGE)
