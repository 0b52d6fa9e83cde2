"""Writes the report of a recipe as one HTML page, as Markdown and as JSON, from the folders of all its stages."""

from dataclasses import dataclass, replace
from typing import Any

from pipeline import stages
from pipeline.config.data_paths import without_folders
from pipeline.lora_land import published
from pipeline.machine import Work
from pipeline.measures.report_types import Report
from pipeline.page.cells import Cell, open_cells
from pipeline.store.result_folders import ReportFolder

DATA = (published.FOLDER,)


@dataclass(frozen=True)
class Built:
    """A report before it is written."""

    report: Report
    cells: list[Cell]
    charts: dict[str, str]
    page: str


def run(work: Work) -> dict[str, Any]:
    """Write report.html, report.md, report.json, charts/*.svg and *.png, and a model card for every adapter.

    Raises:
        ArtifactError: an input folder holds no artifact.
    """
    from pipeline.page import model_card, render, svg

    built = build(work)
    folder = ReportFolder(work.out)
    for name, figure in built.charts.items():
        alone = svg.with_title(figure)
        folder.write_chart(name, svg.standalone(alone), svg.png(alone))
    for adapter, text in model_card.all_of(built.report, built.cells).items():
        folder.write_card(adapter, text)
    folder.write(built.page, render.markdown(built.report), built.report)
    return {
        "comparisons": sum(built.report["verdicts"].values()),
        "claims": built.report["family"],
        **built.report["verdicts"],
        "warnings": len(built.report["warnings"]),
        "page_bytes": len(built.page.encode()),
    }


def write_page(work: Work) -> None:
    """Write report.html, report.md and report.json alone: of a report whose params hold some cells of the recipe, while others are made."""
    from pipeline.page import render

    built = build(work)
    ReportFolder(work.out).write(built.page, render.markdown(built.report), built.report)


def build(work: Work) -> Built:
    """The report of the cells in the params; without all that the recipe asks for, it says so and has no verdict."""
    # only here, as a plan asks every stage what it needs and must not wait for the charts
    from pipeline.page import charts_arms, charts_lift, charts_scores, charts_training, embedded_records, preliminary, render, report_data

    work = replace(work, params=without_folders(work.params))
    opened = open_cells(work)
    files, index = embedded_records.embed(work)
    index["code_version"] = stages.find("report").version(work.params)
    not_final = preliminary.of(work.params["recipe"], opened, work.params.get("limit"), work.params.get("holes", ()))
    report = report_data.report(work.params["recipe"], opened, files, not_final)
    charts = charts_scores.draw_all(report) | charts_training.draw_all(report) | charts_lift.draw_all(report) | charts_arms.draw_all(report)
    return Built(report, opened, charts, render.page(report, files, charts, index))
