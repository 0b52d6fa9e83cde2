"""While a run goes on, its page shows what is finished, names what is not, and gives no verdict."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.commands import call as calls
from pipeline.commands import gate, partial_report, recompute_page
from pipeline.commands.partial_report import PartialReport
from pipeline.errors import ArtifactError, RecipeError
from pipeline.machine import Machine
from pipeline.planning.job import Job
from pipeline.runner import Site
from pipeline.scoring import verdict
from pipeline.stages import finetune
from pipeline.store.artifact import Artifact, Store, canonical
from tests import project
from tests.interruption import calls_of
from tests.report_inputs import Inputs

TASKS = ["boolq", "titles", "viggo"]
DEFINITE = {word for pair in (*verdict.TONED_WORDS, verdict.LIFT) for word in (pair.good, pair.bad)} | {verdict.INCONCLUSIVE}


class PlannedReport:
    """A report job whose inputs are there, to be handed to the run's observer one after the other."""

    def __init__(self, root: Path, recipe: dict[str, Any]) -> None:
        work = Inputs(root, recipe).work()
        self.jobs = {name: Job("stage", name, canonical({"name": name})) for name in work.inputs}
        self.report = Job("report", "demo", canonical(work.params), tuple(self.jobs.items()))
        self.artifacts = {job: Artifact.open(work.inputs[name]) for name, job in self.jobs.items()}
        self.site = Site(Store(root / "data", root / "checkpoints"), Machine())
        self.lines: list[str] = []
        self.seconds = 0.0
        self.partial = PartialReport(self.report, self.site, self.lines.append, lambda: self.seconds)

    def finish(self, cell: str) -> None:
        for name, job in self.jobs.items():
            if name.startswith(f"{cell}."):
                self.partial("done", job, self.artifacts[job])

    @property
    def page(self) -> Path:
        return self.partial.folder.page


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> PlannedReport:
    planned = PlannedReport(tmp_path_factory.mktemp("partial"), {"tasks": TASKS, "question": "Does it help?"})
    planned.seconds = 1000.0
    planned.finish("cell0000")
    return planned


def test_the_page_names_what_is_missing_and_gives_no_verdict(planned: PlannedReport) -> None:
    report = planned.partial.folder.data()
    assert report["preliminary"] | {"sentence": ""} == {
        "kind": "not finished",
        "limit": None,
        "unfinished": TASKS[1:],
        "reasons": ["", ""],
        "sentence": "",
    }
    assert [cell["task"] for cell in report["cells"]] == TASKS[:1]
    assert report["verdicts"] == {"no verdict": 1}
    words = {cell["headline"]["verdict"] for cell in report["cells"]} | {row["verdict"] for row in report["claims"] + report["rules"]}
    assert words == {row["verdict"] for row in report["advice"]} == {row["use"] for row in report["advice"]} == {"no verdict"}
    assert report["correction"] == "none"
    assert not any(rule["confirmatory"] for rule in report["rules"])
    html, markdown = planned.page.read_text("utf-8"), planned.page.with_name("report.md").read_text("utf-8")
    for task in TASKS[1:]:
        assert re.search(rf"{task} <span[^>]*>not finished</span>", html)
        assert f"- not finished: {task}\n" in markdown
    assert "<h1>Not finished: Does it help?</h1>" in html
    words_on_page = set(re.findall(r'<span class="word[^"]*">([^<]*)</span>', html)) | set(re.findall(r"\| \*\*([a-z ]+)\*\*", markdown))
    assert words_on_page == {"no verdict", "not finished"}
    assert not DEFINITE & words_on_page
    assert "Holm" not in html.partition("<details")[0]


def test_it_verifies_and_says_that_it_is_not_finished(planned: PlannedReport) -> None:
    line = recompute_page.verify(planned.page, planned.site.store).line()
    assert "the page matches them; it has no verdict: not finished" in line


def test_a_gate_refuses_it(planned: PlannedReport) -> None:
    rules = gate.Gate(rules=(gate.Rule(figure="lift", at_least=0.0),))
    with pytest.raises(RecipeError, match=r"a gate judges final reports only\. Not finished: titles, viggo \(2 of 3\)"):
        gate.judge(rules, planned.partial.folder.data())


def test_it_is_replaced_until_the_report_is_made(tmp_path: Path) -> None:
    planned = PlannedReport(tmp_path, {"tasks": TASKS})
    planned.finish("cell0001")
    assert not planned.page.exists(), "a run of no time has none for a page"
    planned.seconds = 1000.0
    planned.finish("cell0000")
    assert planned.partial.folder.data()["preliminary"]["unfinished"] == ["viggo"]
    assert sorted(path.name for path in planned.page.parent.parent.rglob("*")) == [
        planned.page.parent.name, "report.html", "report.json", "report.md",
    ]  # fmt: skip
    planned.finish("cell0002")
    assert planned.partial.folder.data()["preliminary"]["unfinished"] == ["viggo"], "the last cell is the report's own"
    planned.partial("start", planned.report, None)
    assert planned.page.exists()
    planned.partial("done", planned.report, Artifact.open(next(iter(planned.artifacts.values())).path))
    assert not planned.page.exists()
    assert planned.lines == [f"report so far, {count} of 3 comparisons: {planned.page}" for count in (1, 2)]


def test_pages_take_a_small_part_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 12 cells that end every 20 seconds, with pages of 3 seconds; one that fails stops nothing."""
    planned = PlannedReport(tmp_path, {"sweep": {"finetune.rank": list(range(1, 13))}, "tasks": ["boolq"]})

    def write(*_: Any) -> Path:
        planned.seconds += 3
        raise OSError("no space")

    monkeypatch.setattr(partial_report, "write", write)
    for number in range(12):
        planned.seconds += 20
        planned.finish(f"cell{number:04}")
        assert planned.partial.spent <= partial_report.SHARE * planned.seconds + 3
    assert planned.lines == ["no report so far: no space"] * 4


def test_a_page_cannot_hide_that_cells_are_missing(planned: PlannedReport) -> None:
    """Its recipe names them; nothing in its records says how many there are to be."""
    assert "unfinished" not in planned.report.params
    assert [cell["cell"] for cell in planned.report.params["cells"]] == ["cell0000", "cell0001", "cell0002"]


@pytest.mark.slow
def test_a_killed_run_leaves_a_page(
    tmp_path: Path, model: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second of two trainings is killed."""
    recipe = project.make(tmp_path, model["folder"])
    body = json.loads(recipe.read_text("utf-8"))
    body["tasks"] += [{**body["tasks"][0], "name": "pets2", "prompt": "Q: {question}"}]
    recipe.write_text(json.dumps(body), "utf-8")
    arguments, machine = [str(recipe)], Machine("cpu", tokens=100)
    monkeypatch.setattr(partial_report, "SHARE", 1e9)
    with calls_of(finetune, "run", kill_at=2):
        calls.make_report(calls.parse_call(arguments, tmp_path, machine))
    (page,) = (tmp_path / "data" / "partial").glob("pets-*/report.html")
    assert recompute_page.verify(page).no_verdict == "not finished"
    assert json.loads(page.with_name("report.json").read_text("utf-8"))["preliminary"]["unfinished"] == ["pets2"]

    with pytest.raises(ArtifactError) as refused:
        cli.app(["report", *arguments, "--store", str(tmp_path)], standalone_mode=False)
    assert f"For the tasks that are finished: loralift report --partial {recipe}" in refused.value.remedy
    page.unlink()
    cli.app(["report", *arguments, "--store", str(tmp_path), "--partial"], standalone_mode=False)
    assert "Not finished: Do pets say yes?" in capsys.readouterr().out
    assert page.exists()
    calls.make_report(calls.parse_call(arguments, tmp_path, machine))
    assert not page.exists()
    capsys.readouterr()
    cli.app(["report", *arguments, "--store", str(tmp_path), "--partial"], standalone_mode=False)
    assert "no verdict" not in capsys.readouterr().out, "a finished comparison has its report"
