"""What is made again when something changes: one row, one promise. And what an altered byte or a failure does."""

import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from pipeline import runner as runs
from pipeline import stages
from pipeline.commands import job_status, views
from pipeline.config import recipe as recipes
from pipeline.errors import ArtifactError
from pipeline.planning.plan import plan
from pipeline.stages import compare, finetune
from pipeline.store import import_closure
from pipeline.store.artifact import Artifact, ArtifactSpec, Store, canonical
from tests import ROOT, project


@pytest.fixture(scope="module")
def finished(tmp_path_factory, model):
    """A recipe that was carried out once: (recipe, root)."""
    root = tmp_path_factory.mktemp("made")
    recipe = project.make(root, model["folder"])
    assert project.carry_out(recipe, root) == project.STAGES
    return recipe, root


@pytest.fixture
def copied(finished, tmp_path, monkeypatch):
    """A store of the test's own, with everything made in it."""
    shutil.copytree(finished[1], tmp_path / "store")
    runs.verify_input.cache_clear()
    return finished[0], tmp_path / "store"


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ({}, []),
        ({"compare.resamples": 300}, ["compare", "report"]),
        ({"compare.correction": "none"}, ["report"]),
        ({"question": "Why?"}, ["report"]),
        ({"finetune.rank": 2}, ["finetune", "generate", "compare", "report"]),
        ({"finetune.seeds": [0, 1]}, ["finetune", "generate", "compare", "report"]),
        ({"generate.max_new_tokens": 3}, ["prepare", "prepare", "generate", "generate", "compare", "report"]),
        ({"prepare.train_examples": 20}, ["prepare", "finetune", "generate", "compare", "report"]),
        ({"prepare.heldout_examples": 10}, ["prepare", "prepare", "generate", "generate", "compare", "report"]),  # training drew the same
        ({"prepare.seed": 1}, project.STAGES),
    ],
)
def test_what_is_made_again(copied, changes, again):
    assert sorted(project.carry_out(*copied, changes)) == sorted(again)


@pytest.mark.parametrize(
    ("file", "again"),
    [
        ("page/templates/page.css", ["report"]),
        ("commands/views.py", []),
        ("data/overlap.py", ["prepare", "prepare"]),  # the same bytes come out, so nothing rests on others
        ("data/inline.py", ["prepare", "prepare", "compare", "report"]),  # the page shows results by class of what the task's parser read
        ("store/records.py", ["prepare", "prepare", "compare", "report"]),
    ],
)
def test_an_edit_makes_only_the_cheap_stages_again_that_consist_of_it(copied, monkeypatch, tmp_path, file, again):
    package = shutil.copytree(import_closure.PACKAGE, tmp_path / "pipeline")
    with (package / file).open("a", encoding="utf-8") as text:
        text.write("\n")

    def code(stage, tasks, data):
        return import_closure.version(package / "stages" / stage.name, tasks, data, package)

    monkeypatch.setattr(stages, "code_version", code)
    assert project.carry_out(*copied) == again


def test_a_raised_version_makes_a_dear_stage_again_and_equal_bytes_nothing_else(copied, monkeypatch):
    monkeypatch.setattr(finetune, "VERSION", 99)
    assert project.carry_out(*copied) == ["finetune"]


def test_changed_data_under_the_same_name_is_seen(copied, tmp_path, model):
    recipe = project.make(tmp_path / "mine", model["folder"])
    root = tmp_path / "store"
    assert project.carry_out(recipe, root, stages={"prepare"}) == ["prepare", "prepare"]
    data = tmp_path / "mine" / "test.jsonl"
    data.write_text(data.read_text().replace("the", "THE"))
    assert project.carry_out(recipe, root, stages={"prepare"}) == ["prepare", "prepare"]


def test_a_failed_stage_leaves_nothing_and_the_next_run_goes_on(copied, monkeypatch):
    recipe, root = copied
    shutil.rmtree(next(root.glob("data/compare/*")))
    with monkeypatch.context() as patch:
        patch.setattr(compare, "run", lambda work: (work.out / "half.json").write_text("{") / 0)
        with pytest.raises(ZeroDivisionError):
            project.carry_out(recipe, root)
    assert not [path for path in root.glob("data/compare/*") if path.name != ".gitkeep"]
    assert project.carry_out(recipe, root) == ["compare"]  # its bytes come out as they were, so the report stays


def artifacts(root: Path) -> list[Artifact]:
    return list(Store(root / "data", root / "checkpoints").all())


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_flipped_byte_is_found_by_verify_in_every_file(copied):
    count = 0
    for artifact in artifacts(copied[1]):
        artifact.verify()
        for name in artifact.files:
            before = (artifact.path / name).read_bytes()
            if not before:
                continue
            flip(artifact.path / name)
            with pytest.raises(ArtifactError, match=rf"altered after it was made: {name}"):
                artifact.verify()
            (artifact.path / name).write_bytes(before)
            count += 1
    assert count > 15


@pytest.mark.parametrize(
    ("altered", "reader"),
    [("prepare", "generate"), ("prepare", "finetune"), ("finetune", "generate"), ("generate", "compare"), ("compare", "report")],
)
def test_a_flipped_byte_stops_the_stage_that_reads_it(copied, altered, reader):
    recipe, root = copied
    for artifact in artifacts(root):
        if artifact.stage == reader:
            shutil.rmtree(artifact.path)
        elif artifact.stage == altered:
            flip(artifact.path / max(artifact.files, key=lambda name: (artifact.path / name).stat().st_size))
    with pytest.raises(ArtifactError, match=r"was altered after it was made: .*\n.*Delete the folder"):
        project.carry_out(recipe, root)


def test_an_altered_manifest_is_found(copied):
    artifact = artifacts(copied[1])[0]
    manifest = artifact.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace(artifact.digest, "0" * 64))
    with pytest.raises(ArtifactError, match="was altered"):
        Artifact.open(artifact.path).verify()


def test_a_folder_without_a_manifest_does_not_exist(copied):
    recipe, root = copied
    (next(root.glob("data/report/*")) / "manifest.json").unlink()
    shutil.rmtree(next(root.glob("data/report/*")))
    assert project.carry_out(recipe, root) == ["report"]


def test_a_folder_whose_deletion_was_interrupted_is_made_again(copied):
    recipe, root = copied
    folder = next(root.glob("data/compare/*"))
    (folder / "manifest.json").unlink()
    assert project.carry_out(recipe, root) == ["compare"]


def test_gc_keeps_dear_work_after_an_edit_of_the_code(copied, monkeypatch, capsys):
    recipe, root = copied
    monkeypatch.setattr(stages, "code_version", lambda *_: "edited")
    views.collect_garbage(Console(), Store(root / "data", root / "checkpoints"), True, [recipe])
    assert sorted(artifact.stage for artifact in artifacts(root)) == ["finetune", "generate", "generate"]


def sealed(store, job, name="model", **facts):
    """An artifact of a job without inputs, as it would be with these facts about its base, or about another of its parameters."""
    params = {**job.params, name: {**job.params[name], **facts}}
    spec = ArtifactSpec(job.stage, job.label, stages.find(job.stage).version(params), params, {})
    with store.scratch(spec) as folder:
        (folder / "weights").write_text("...")
        return store.seal(spec, folder, {}, {"at": "2026-01-01T00:00:00Z"}, {})


def test_gc_keeps_adapters_of_a_base_whose_commit_is_not_known_here(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    store = Store(tmp_path / "data", tmp_path / "checkpoints")
    recipe = recipes.load(ROOT / "recipes" / "lora_land" / "phi_2.yaml")
    job = next(job for job in plan(recipe, ask=False) if job.stage == "finetune")
    assert job.params["model"]["revision"] is None
    adapter, other = sealed(store, job, revision="a" * 40), sealed(store, job, revision="a" * 40, repo="no/such-base")
    views.collect_garbage(Console(), store, True, [])
    assert adapter.path.exists()
    assert not other.path.exists()


@pytest.mark.parametrize(("name", "variant"), [("adapter", {"adapter": "some/adapter"}), ("tuned", {"model": "some/model"})])
def test_gc_keeps_imports_whose_commits_are_not_known_here(tmp_path, monkeypatch, name, variant):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "data", tmp_path / "checkpoints")
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump({"name": "mine", "base": "phi-2", "tasks": ["boolq"], "variants": [{"name": "x", **variant}]})
    )
    job = next(job for job in plan(recipes.load(tmp_path / "mine.yaml"), ask=False) if job.stage.startswith("import_"))
    assert job.params["model"]["revision"] is job.params[name]["revision"] is None
    resolved = replace(job, params_json=canonical({**job.params, "model": {**job.params["model"], "revision": "a" * 40}}))
    cached, uncached = sealed(store, resolved, name, revision="b" * 40), sealed(store, resolved, name, revision="b" * 40, repo="no/such")
    views.collect_garbage(Console(), store, True, [tmp_path / "mine.yaml"])
    assert cached.path.exists()
    assert not uncached.path.exists()


def test_a_plan_says_what_changed_since_a_stage_had_another_name(finished, tmp_path):
    store = Store(tmp_path / "data", tmp_path / "checkpoints")
    jobs = plan(recipes.load(finished[0], {"compare.relevance_examples": 4}))
    job = replace(next(job for job in jobs if job.stage == "relevance"), inputs=())
    old = replace(job, params_json=canonical({**job.params, "examples": 8}))
    sealed(store, old)
    (tmp_path / "data" / "relevance").rename(tmp_path / "data" / "relate")
    assert "examples" in job_status.find_or_explain(job, {}, store)


def test_a_sweep_shares_its_work(finished):
    recipe = recipes.load(finished[0], {"sweep": {"finetune.rank": [1, 2, 4, 8, 16, 32]}, "finetune.seeds": [0, 1]})
    jobs = plan(recipe)
    count = {stage: sum(job.stage == stage for job in jobs) for stage in set(project.STAGES)}
    assert count == {"prepare": 2, "finetune": 12, "generate": 13, "compare": 6, "report": 1}


def test_jobs_stand_behind_their_inputs(finished):
    jobs = plan(recipes.load(finished[0], {"sweep": {"finetune.rank": [1, 2]}}))
    for index, job in enumerate(jobs):
        assert all(jobs.index(source) < index for _, source in job.inputs)
    assert len(set(jobs)) == len(jobs)


def test_every_stage_is_a_file():
    names = {path.stem for path in (Path(runs.__file__).parent / "stages").glob("[a-z]*.py")}
    imports = {"import_adapter", "import_model", "import_predictions"}
    others = {"reference", "debug", "debug_by_endpoint", "relevance", "general_loss", "speed", "search_overlap", "common_examples"}
    others |= {"slice_examples", "sample_validation", "forecast", "cut_adapter", "spectrum", "trial", "select"}
    assert names == {*project.STAGES, *imports, *others}
    assert all(callable(import_module(f"pipeline.stages.{name}").run) for name in names)
