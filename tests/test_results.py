"""Results over time: the list of a store, what changed between two reports, what gc keeps, and copies in another store."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.commands import copy_artifacts, report_closure, result_diff, results, views
from pipeline.errors import ArtifactError, RecipeError
from pipeline.store.artifact import MANIFEST, Artifact, ArtifactSpec, Store
from tests.report_inputs import Chartless, Inputs

LONE = ArtifactSpec("prepare", "lone--train", 1, {"split": "train"}, {})
"""What no report rests on."""


def sealed_report(root: Path, date: str, **options: Any) -> Artifact:
    """A report in a store with all that it rests on."""
    built = Chartless(Inputs(root, **options))
    store = Store(root / "data", root / "checkpoints")
    sources = {name: Artifact.open(path) for name, path in built.work.inputs.items()}
    spec = ArtifactSpec("report", "demo", 1, built.work.params, {name: source.digest for name, source in sources.items()})
    shutil.rmtree(built.work.out)
    with store.scratch(spec) as out:
        (out / "report.json").write_text(json.dumps(built.json), "utf-8")
        return store.seal(spec, out, {}, {"at": date}, {name: source.path.name for name, source in sources.items()})


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> dict[str, Any]:
    """Two reports of one recipe in a store, of which the later one has another rank, another task and a smaller lift."""
    root = tmp_path_factory.mktemp("results")
    packages = {"packages": {"torch": "2.0"}, "git": {"commit": "b" * 40, "dirty": True}}
    first = sealed_report(root, "2026-01-01T00:00:00Z", recipe={"tasks": ["boolq", "titles"]}, n=200)
    changed = {"tasks": ["boolq"], "finetune": {"rank": 4}}
    second = sealed_report(root, "2026-02-01T00:00:00Z", recipe=changed, n=200, gain=0.1, provenance={"tuned0": packages})
    store = Store(root / "data", root / "checkpoints")
    with store.scratch(LONE) as out:
        (out / "rows.jsonl").write_text("1")
        lone = store.seal(LONE, out, {}, {}, {})
    return {"root": root, "store": store, "first": first, "second": second, "lone": lone}


def printed(action: Any, *arguments: Any) -> str:
    console = Console(width=2000)
    with console.capture() as captured:
        action(console, *arguments)
    return captured.get()


def test_the_list_has_every_comparison_the_newest_report_first(pair):
    lines = printed(results.show, pair["store"]).splitlines()
    heads = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert heads == [pair["second"].key[:12], pair["first"].key[:12], "2"]
    row = json.loads((pair["second"].path / "report.json").read_text("utf-8"))["cells"][0]["comparisons"][0]
    scores = f"{row['base']:.2f} -> {row['tuned']:.2f}, lift {row['lift']:+.2f} [{row['low']:.2f}, {row['high']:.2f}]"
    assert f"  boolq: accuracy {scores}" in lines
    assert sum(line.startswith("  titles: ") for line in lines) == 1


def test_a_report_is_known_by_folder_file_name_key_and_recipe(pair):
    folder, store = pair["first"].path, pair["store"]
    whats = (folder, folder / "report.json", folder.name, pair["first"].key[:8])
    assert {results.find(str(what), store).data["made_at"] for what in whats} == {results.find(str(folder), store).data["made_at"]}
    with pytest.raises(ArtifactError, match="no report of the recipe quickstart"):
        results.find("quickstart", store)
    with pytest.raises(ArtifactError, match=r"there is no report\.json"):
        results.find(str(store.data), store)
    with pytest.raises(RecipeError, match="there is no recipe nothing"):
        results.find("nothing", store)


def test_of_a_recipe_the_newest_report_is_meant(pair, tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("{name: demo, base: qwen2.5-1.5b, tasks: [boolq]}", "utf-8")
    assert results.find(str(recipe), pair["store"]).name == pair["second"].path.name


def test_the_difference_names_what_changed_and_nothing_else(pair):
    before, after = (results.find(str(pair[name].path), pair["store"]) for name in ("first", "second"))
    text = printed(result_diff.show, before, after)
    recipe = text.partition("recipe: ")[2].partition("code: ")[0].split()
    assert "finetune.rank:" in recipe
    assert "tasks.titles:" in recipe
    assert sum(word.endswith(":") for word in recipe) == 2
    code = text.partition("code: ")[2].partition("packages: ")[0]
    assert "bbbbbbbbbbbb with changes" in code
    assert "torch: " in text.partition("packages: ")[2].partition("data: ")[0]
    assert f"only in {before.name}: titles" in text
    assert "no test" in text
    one, other = (report.data["cells"][0]["comparisons"][0] for report in (before, after))
    word = "overlap" if one["low"] <= other["high"] and other["low"] <= one["high"] else "do not overlap"
    assert f"[{one['low']:.3f}, {one['high']:.3f}] -> {other['lift']:+.3f} [{other['low']:.3f}, {other['high']:.3f}]" in text
    assert f"; the intervals {word}\n" in text
    assert f"  fine-tuned {one['tuned']:.3f} -> {other['tuned']:.3f} ({other['tuned'] - one['tuned']:+.3f})" in text


def test_a_report_does_not_differ_from_itself(pair):
    one = results.find(str(pair["first"].path), pair["store"])
    text = printed(result_diff.show, one, one)
    assert [line for line in text.splitlines() if line.endswith(": the same")] == [
        f"{name}: the same" for name in ("recipe", "code", "packages", "data")
    ]
    assert "only in" not in text
    assert "other test examples" not in text


@pytest.mark.parametrize(
    ("ends", "word"),
    [((0.0, 0.1, 0.1, 0.2), "overlap"), ((0.0, 0.1, 0.11, 0.2), "do not overlap"), ((0.3, 0.4, 0.1, 0.2), "do not overlap")],
)
def test_intervals_overlap_if_they_share_a_point(ends, word):
    low, high, other_low, other_high = ends
    assert result_diff.overlap_of({"low": low, "high": high}, {"low": other_low, "high": other_high}) == word


def test_gc_keeps_all_that_a_named_report_rests_on(pair, tmp_path):
    shutil.copytree(pair["root"], tmp_path / "store")
    store = Store(tmp_path / "store" / "data", tmp_path / "store" / "checkpoints")
    (report,) = (one for one in store.all() if one.key == pair["first"].key)
    inputs = {name: Artifact.open(store.folder(one.stage) / one.path.name).path for name, one in named_inputs(pair).items()}
    printed(views.collect_garbage, store, True, [report.path])
    left = {one.path for one in store.all()}
    assert left == {report.path, *inputs.values(), *report_closure.paths(store, {report.path})}
    assert pair["lone"].path.name not in {path.name for path in left}
    printed(views.collect_garbage, store, True, [])
    assert not list(store.all())


def named_inputs(pair: dict[str, Any]) -> dict[str, Artifact]:
    """What the first report names."""
    by_name = {one.path.name: one for one in pair["store"].all()}
    return {name: by_name[folder] for name, folder in pair["first"].lineage.items()}


def test_a_copy_is_whole_and_made_once(pair, tmp_path, monkeypatch):
    target = Store(tmp_path / "data", tmp_path / "checkpoints")
    artifacts = list(pair["store"].all())
    assert all(copy_artifacts.copy(artifact, target) for artifact in artifacts)
    copies = {one.key: one for one in target.all()}
    assert {key: one.digest for key, one in copies.items()} == {one.key: one.digest for one in artifacts}
    for one in copies.values():
        one.verify()
    assert not [path for path in tmp_path.rglob(".*--*") if path.is_dir()]
    monkeypatch.setattr(shutil, "copytree", None)
    assert not any(copy_artifacts.copy(artifact, target) for artifact in artifacts)


def test_of_a_report_that_and_what_it_rests_on_is_copied(pair):
    rows = copy_artifacts.wanted([pair["first"].path.name], pair["root"], pair["store"])
    assert {one.path for one in rows} == report_closure.paths(pair["store"], {pair["first"].path})
    assert {pair["first"].path, *(one.path for one in named_inputs(pair).values())} <= {one.path for one in rows}
    assert len(copy_artifacts.wanted([], pair["root"], pair["store"])) == len(list(pair["store"].all()))


def test_a_file_that_is_altered_at_either_end_is_refused(pair, tmp_path, monkeypatch):
    shutil.copytree(pair["root"], tmp_path / "source")
    source, target = (Store(tmp_path / name / "data", tmp_path / name / "checkpoints") for name in ("source", "target"))
    (artifact,) = (one for one in source.all() if one.key == pair["lone"].key)
    real = shutil.copytree

    def lossy(*arguments: Any, **options: Any) -> Any:
        copied = real(*arguments, **options)
        (Path(copied) / "rows.jsonl").write_text("2")
        return copied

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copytree", lossy)
        with pytest.raises(ArtifactError, match=r"was altered after it was made: rows\.jsonl"):
            copy_artifacts.copy(artifact, target)
    assert not list(target.all())
    assert not [path for path in (tmp_path / "target").rglob(".*--*") if path.is_dir()]
    (artifact.path / "rows.jsonl").write_text("2")
    with pytest.raises(ArtifactError, match=r"was altered after it was made: rows\.jsonl"):
        copy_artifacts.copy(artifact, target)
    assert not list(target.all())


def test_other_bytes_under_one_key_are_refused(pair, tmp_path):
    target = Store(tmp_path / "data", tmp_path / "checkpoints")
    with target.scratch(LONE) as out:
        (out / "rows.jsonl").write_text("2")
        target.seal(LONE, out, {}, {}, {})
    with pytest.raises(ArtifactError, match=r"was made of the same inputs as .* and holds other bytes"):
        copy_artifacts.copy(pair["lone"], target)


def test_a_copy_that_was_interrupted_goes_on(pair, tmp_path, monkeypatch):
    target = Store(tmp_path / "data", tmp_path / "checkpoints")
    artifacts = list(pair["store"].all())
    real, seen = Artifact.verify, []

    def stop(artifact: Artifact) -> None:
        seen.append(artifact)
        if len(seen) == 6:
            raise KeyboardInterrupt
        real(artifact)

    with monkeypatch.context() as patch:
        patch.setattr(Artifact, "verify", stop)
        with pytest.raises(KeyboardInterrupt):
            [copy_artifacts.copy(artifact, target) for artifact in artifacts]
    begun = len(list(target.all()))
    assert 0 < begun < len(artifacts)
    assert sum(copy_artifacts.copy(artifact, target) for artifact in artifacts) == len(artifacts) - begun
    assert all((one.path / MANIFEST).is_file() for one in target.all())


def test_a_store_is_not_copied_into_itself(call_cli, tmp_path):
    code, error = call_cli("copy", "--store", tmp_path, "--to", tmp_path)[0::2]
    assert code == 2
    assert "is the store itself" in error
