"""Figures, verdicts and links of a report hang on kinds, units and reasons, not on the words of its sentences."""

import re
from typing import get_args

from pipeline.commands import report_table
from pipeline.measures import names
from pipeline.measures.advice import StatementKind
from pipeline.measures.cost import AssumptionKind
from pipeline.measures.evidence import Table
from pipeline.page import anchors, cost_section, verdict_section
from pipeline.scoring import verdict
from tests.page_reader import Page
from tests.report_inputs import Chartless, Inputs

RECIPE = {
    "references": [{"name": "big", "endpoint": "http://x/v1", "model": "m", "price": {"input": 0.1, "output": 0.2}}],
    "cost": {"gpu_hour": 2.0},
}
ARMS = ("base_fewshot", "base_constrained", "constant", "reference.big")
WORDLESS = {"Confirmatory tests": ("Test",), "Exploratory results": ("Test",), "Break-even": ("Why",)}
"""Tables of figures, and their columns of words."""


def report_of(folder):
    return Chartless(Inputs(folder, RECIPE, arms=ARMS, measured=True))


def figures(html):
    """The tables without their words."""
    tables = {table.label: table.rows for table in Page(html).tables}
    return {
        label: [{head: text for head, text in row.items() if head not in words} for row in tables[label]]
        for label, words in WORDLESS.items()
    }


def test_other_words_leave_every_figure_as_it_is(tmp_path, monkeypatch):
    plain = report_of(tmp_path / "plain")
    monkeypatch.setattr(names, "arm", lambda name, constraint="": "requests dollars lift never -cost improved")
    monkeypatch.setattr(names, "suite", lambda name: "a suite")
    monkeypatch.setattr(verdict_section, "rule_name", lambda name, constraint: f"some rule {name}")
    monkeypatch.setattr(cost_section, "why", lambda row: "some reason")
    reworded = report_of(tmp_path / "reworded")
    assert figures(reworded.html) == figures(plain.html)
    assert any(row["After requests"] == "never" for row in figures(plain.html)["Break-even"])
    for key in ("advice", "rules", "claims", "summary"):
        assert links(reworded.json[key]) == links(plain.json[key])


def links(rows):
    return [row.get("evidence") for row in rows] + [sentence["evidence"] for row in rows for sentence in row.get("sentences", [])]


def test_every_link_leads_to_a_row_of_the_page(tmp_path):
    report = report_of(tmp_path)
    ids = set(re.findall(r'\bid="([^"]+)"', report.html))
    cell = report.json["cells"][0]["cell"]
    for table in get_args(Table):
        suites = [suite["suite"] for suite in report.json["cells"][0]["forgetting"]] if table == "suites" else [""]
        assert {anchors.row_id(table, cell, suite) for suite in suites} <= ids
    assert {link[1:] for key in ("advice", "rules", "claims") for link in links(report.json[key]) if link} <= ids


def test_every_statement_and_assumption_has_its_sentence():
    assert set(verdict_section.TEXTS) == set(get_args(StatementKind))
    assert set(cost_section.ASSUMPTIONS) == set(get_args(AssumptionKind))


def test_the_terminal_styles_every_verdict(tmp_path):
    report = report_of(tmp_path).json
    assert set(report["verdicts"]) == set(verdict.EFFECT_VERDICTS)
    words = get_args(verdict.Verdict)
    assert {verdict.tone(word, is_limited) for word in words for is_limited in (False, True)} == set(report_table.STYLES)
