"""The verdict of a recipe as one HTML page, as Markdown, and as JSON, from the folders of all its stages."""

import json
from typing import Any

from pipeline.machine import Work
from pipeline.page import cells, charts, examples, facts, render, svg


def run(work: Work) -> dict[str, Any]:
    """Write report.html, report.md, report.json and charts/*.svg.

    Raises:
        ArtifactError: an input folder holds no artifact.
    """
    recipe = work.params["recipe"]
    opened = cells.open_all(work)
    judged = cells.judged(opened, recipe["compare"]["confidence"], recipe["compare"]["correction"])
    blocks = examples.Blocks()
    read = {cell.name: examples.read(cell, judged[cell.name][0], blocks) for cell in opened}
    report = facts.report(recipe, opened, judged, read)
    drawn = charts.all_of(report)

    (work.out / "charts").mkdir()
    for name, figure in drawn.items():
        (work.out / "charts" / f"{name}.svg").write_text(svg.standalone(figure), "utf-8")
    page = render.page(report, blocks.packed, drawn)
    (work.out / "report.html").write_text(page, "utf-8")
    (work.out / "report.md").write_text(render.markdown(report), "utf-8")
    (work.out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    return {"comparisons": report["family"], **report["verdicts"], "warnings": len(report["warnings"]), "page_bytes": len(page.encode())}
