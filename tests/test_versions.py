"""Versions of stages: cheap ones are keyed by the code that they consist of; expensive ones by a VERSION raised by hand, and here it is
noticed when their code changed and it was not."""

import ast
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from pipeline import stages
from pipeline.data import task
from pipeline.lora_land import published
from pipeline.sandbox import values
from pipeline.store import import_closure

PIPELINE = Path(__file__).parents[1] / "pipeline"
FROZEN = Path(__file__).with_name("versions.json")
HARMLESS = {
    "arms.py": "which arms there are; what an arm asks of a stage reaches it as params",
    "config/": "what a recipe says reaches a stage as params, with every default written out",
    "engine/tracking.py": "writes to a tracker beside the artifact",
    "errors.py": "words for people",
    "machine.py": "where and on what a job runs enters no key",
    "models/base_model.py": "finds a base's folder; which bytes lie there is in the params, by commit or hash",
    "models/hub.py": "fetches the commit that the params name",
    "models/model_table.py": "a base's row reaches a stage as params",
    "models/quiet.py": "keeps warnings of libraries off the terminal",
    "models/shapes.py": "sizes for what `plan` estimates",
    "progress.py": "what a terminal shows",
    "resources.py": "where shipped files lie; what they hold is hashed into params",
    "store/key_history.py": "which params enter a key; a stage gets them all",
    "store/artifact.py": "finds, checks and seals folders; a stage writes its files itself",
}
"""Modules that an expensive stage imports and that cannot change a byte of its artifacts, and why."""


def relative(path):
    return path.relative_to(PIPELINE).as_posix()


def guarded(stage):
    """The files whose code can change the bytes of a stage's artifacts."""
    return [path for path in import_closure.files(stages.find(stage).file) if not relative(path).startswith(tuple(HARMLESS))]


def code_hash(paths):
    """Of the syntax trees without docstrings, so comments and layout are free; of data files the bytes."""
    whole = hashlib.sha256()
    for path in paths:
        if path.suffix != ".py":
            whole.update(path.read_bytes())
            continue
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                del body[0]
        whole.update(ast.dump(tree).encode())
    return whole.hexdigest()[:16]


def current():
    return {stage: [stages.find(stage).version({}), code_hash(guarded(stage))] for stage in stages.expensive()}


@pytest.mark.parametrize("stage", stages.expensive())
def test_a_changed_stage_has_a_raised_version(stage):
    if os.environ.get("FREEZE"):
        FROZEN.write_text(json.dumps(current(), indent=1) + "\n", "utf-8")
    assert current()[stage] == json.loads(FROZEN.read_text("utf-8"))[stage], (
        f"the code of {stage} changed: raise VERSION in pipeline/stages/{stage}.py if its results can change, then `make freeze`"
    )


def test_every_harmless_module_is_imported_by_an_expensive_stage():
    imported = {relative(path) for stage in stages.expensive() for path in import_closure.files(stages.find(stage).file)}
    assert [name for name in HARMLESS if not any(path.startswith(name) for path in imported)] == []


def test_the_guard_sees_what_a_list_by_hand_had_missed():
    assert {"engine/timing.py", "engine/choices.py"} <= set(map(relative, guarded("speed")))
    assert "store/records.py" in map(relative, guarded("finetune"))
    assert "engine/loss.py" not in map(relative, guarded("generate"))  # a mended loss is no business of generation


def test_what_loads_weights_says_so():
    for stage in stages.table():
        loads = PIPELINE / "models" / "loading.py" in import_closure.files(stage.file)
        assert loads == (stages.WEIGHTS in stage.needs), stage.name


@pytest.mark.parametrize("path", sorted(PIPELINE.rglob("*.py")), ids=relative)
def test_imports_are_read_as_the_syntax_tree_has_them(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name for name in names if name.partition(".")[0] == "pipeline"}
    assert import_closure.imports(path, PIPELINE) == {file for name in ours if (file := import_closure.file_of(name, PIPELINE))}


def test_what_is_loaded_by_name_is_known():
    """Whatever loads metrics by name has all of them in its code; whatever finds tasks, those that its params name."""
    for stage in stages.table():
        closure = {relative(path) for path in import_closure.files(stage.file, ["boolq"])}
        loads = [path for path in closure if "metrics.load(" in (PIPELINE / path).read_text("utf-8", "replace")]
        assert ("metrics/accuracy/accuracy.py" in closure) == bool(loads), stage.name
        assert ("sandbox/child.py" in closure) == ("sandbox/sandbox.py" in closure), stage.name
        assert ("tasks/boolq.py" in closure) == ("data/task.py" in closure), stage.name
        assert "tasks/viggo.py" not in closure
    by_hand = {"data/task.py", "stages/__init__.py"}
    of_python = {"sandbox/values.py"}  # modules of the standard library alone: test_modules_of_this_package_are_not_loaded_by_name
    assert {relative(path) for path in PIPELINE.rglob("*.py") if "import_module(" in path.read_text("utf-8")} == by_hand | of_python


def test_modules_of_this_package_are_not_loaded_by_name():
    assert values.library_module("collections.abc").__name__ == "collections.abc"
    with pytest.raises(ModuleNotFoundError):
        values.library_module("pipeline.errors")


EVERY = {f"{stage} {name}" for stage in ("prepare", "compare", "report") for name in ("boolq", "inline")}
PARAMS = {
    "boolq": {"task": "boolq"},
    "inline": {"task": {"name": "pets", "metrics": ["accuracy"]}},
}


def versions(package):
    """By stage and task."""
    return {
        f"{stage} {name}": import_closure.version(package / "stages" / f"{stage}.py", [*import_closure.strings_in(params)], package=package)
        for stage in ("prepare", "compare", "report")
        for name, params in PARAMS.items()
    }


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("page/templates/page.css", {"report boolq", "report inline"}),
        ("page/templates/verdict.html.jinja", {"report boolq", "report inline"}),
        ("page/templates/page.js", {"report boolq", "report inline"}),
        ("page/charts_lift.py", {"report boolq", "report inline"}),
        ("cli.py", set()),
        ("commands/plan_table.py", set()),
        ("engine/loss.py", set()),
        ("page/__init__.py", set()),
        ("tasks/viggo.py", set()),
        ("tasks/boolq.py", {"prepare boolq", "compare boolq", "report boolq"}),
        ("tasks/_shared.py", {"prepare boolq", "compare boolq", "report boolq"}),
        ("metrics/accuracy/accuracy.py", EVERY),
        ("sandbox/child.py", EVERY),
        ("data/overlap.py", {"prepare boolq", "prepare inline"}),
        ("measures/decompose.py", {"compare boolq", "compare inline"}),
    ],
)
def test_an_edit_changes_the_versions_of_what_consists_of_it_alone(tmp_path, file, changed):
    one, other = (shutil.copytree(PIPELINE, tmp_path / name / "pipeline", ignore=shutil.ignore_patterns("__pycache__")) for name in "ab")
    with (other / file).open("a", encoding="utf-8") as text:
        text.write("\n")
    before, after = versions(one), versions(other)
    assert {name for name in before if before[name] != after[name]} == changed
    assert before == versions(PIPELINE)  # wherever the package lies


def test_the_published_table_is_part_of_the_report(tmp_path, monkeypatch):
    report = stages.find("report")
    before = report.version({})
    folder = shutil.copytree(published.FOLDER, tmp_path / published.FOLDER.name)
    monkeypatch.setattr(report.module, "DATA", (folder,))
    assert report.version({}) == before
    with (folder / "rows.csv").open("a") as rows:
        rows.write("\n")
    import_closure.cached_hash.cache_clear()
    stages.code_version.cache_clear()
    assert report.version({}) != before


def test_a_shipped_task_counts_wherever_params_name_it():
    compare = stages.find("compare")
    assert compare.version({"task": "boolq"}) != compare.version({"task": {"name": "pets"}, "general": {"viggo": "viggo"}})
    assert compare.version({"task": "no such"}) == compare.version({})
    assert set(task.names()) == stages.shipped_tasks()


def test_what_editors_and_python_leave_in_a_folder_is_no_data(tmp_path):
    (tmp_path / "__pycache__").mkdir()
    for name in ("page.css", "page.css~", ".page.css.swp", "a.py", "__pycache__/a.cpython-311.pyc.1401"):
        (tmp_path / name).touch()
    assert [path.name for path in import_closure.data_files(tmp_path)] == ["page.css"]
