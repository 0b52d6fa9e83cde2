"""Writes the report of a recipe as one HTML page, as Markdown and as JSON, from the folders of all its stages."""

from dataclasses import replace
from typing import Any

from pipeline import stages
from pipeline.config.data_paths import without_folders
from pipeline.lora_land import published
from pipeline.machine import Work
from pipeline.store.result_folders import ReportFolder

DATA = (published.FOLDER,)


def run(work: Work) -> dict[str, Any]:
    """Write report.html, report.md, report.json, charts/*.svg and *.png, and a model card for every adapter.

    Raises:
        ArtifactError: an input folder holds no artifact.
    """
    # only here, as a plan asks every stage what it needs and must not wait for the charts
    from pipeline.page import (
        cells,
        charts_arms,
        charts_lift,
        charts_scores,
        embedded_records,
        model_card,
        render,
        report_data,
        svg,
    )

    work = replace(work, params=without_folders(work.params))
    opened = cells.open_cells(work)
    files, index = embedded_records.embed(work)
    index["code_version"] = stages.find("report").version(work.params)
    report = report_data.report(work.params["recipe"], opened, files)
    charts = charts_scores.draw_all(report) | charts_lift.draw_all(report) | charts_arms.draw_all(report)

    folder = ReportFolder(work.out)
    for name, figure in charts.items():
        alone = svg.with_title(figure)
        folder.write_chart(name, svg.standalone(alone), svg.png(alone))
    for adapter, text in model_card.all_of(report, opened).items():
        folder.write_card(adapter, text)
    page = render.page(report, files, charts, index)
    folder.write(page, render.markdown(report), report)
    return {
        "comparisons": sum(report["verdicts"].values()),
        "claims": report["family"],
        **report["verdicts"],
        "warnings": len(report["warnings"]),
        "page_bytes": len(page.encode()),
    }
