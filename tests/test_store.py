"""Key, folder name and content of an artifact agree wherever it is opened, and `verify` tells of every manifest that was edited."""

import json
import shutil

import pytest
from filelock import FileLock
from rich.console import Console

from pipeline import runner as runs
from pipeline.commands import views
from pipeline.errors import ArtifactError
from pipeline.store import leftovers
from pipeline.store.artifact import MANIFEST, Artifact, ArtifactSpec, Store, json_sha256
from tests import project


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "data", tmp_path / "checkpoints")


def spec_of(rank, **inputs):
    return ArtifactSpec("finetune", f"base--pets--r{rank}", 2, {"rank": rank}, {"train": "5" * 64, **inputs})


def sealed(store, rank):
    """An adapter of this rank, as far as a store can see."""
    spec = spec_of(rank)
    with store.scratch(spec) as scratch:
        (scratch / "weights").write_text(f"rank {rank}")
        facts = {"steps": 125, "loss": 0.5, "targets": ["q_proj"]}
        return store.seal(spec, scratch, facts, {}, {"train": "pets--train--0123456789ab"})


def swap(one, other):
    """Exchange two folders."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def edit(artifact, change):
    """Change a manifest as an editor of JSON would; returns what it held before."""
    path = artifact.path / MANIFEST
    before = path.read_text("utf-8")
    body = json.loads(before)
    change(body)
    path.write_text(json.dumps(body, indent=1, sort_keys=True), "utf-8")
    return before


def verified(store):
    """What `verify` prints; its error is raised."""
    console = Console(width=1000)
    with console.capture() as captured:
        views.verify_all(console, store)
    return captured.get().strip()


def test_swapped_folders_are_refused_wherever_they_are_opened(store):
    small, large = sealed(store, 4), sealed(store, 16)
    swap(small.path, large.path)
    for artifact in (small, large):
        with pytest.raises(
            ArtifactError, match=r"is not what its name says: its manifest has the key [0-9a-f]{12}\n.*Give it back its name"
        ):
            Artifact.open(artifact.path)
        with pytest.raises(ArtifactError, match="is not what its name says"):
            store.find("finetune", artifact.key)
        with pytest.raises(ArtifactError, match="is not what its name says"):
            views.find_artifact(store, str(artifact.path))
    with pytest.raises(views.AlteredError, match=r"2 of 2 artifacts are not as they were made:\n.*is not what its name says"):
        verified(store)


def test_an_adapter_under_the_label_of_another_is_refused(store):
    artifact = sealed(store, 4)
    other = artifact.path.with_name(artifact.path.name.replace("r4", "r16"))
    artifact.path.rename(other)
    with pytest.raises(ArtifactError, match="its manifest has the label base--pets--r4"):
        Artifact.open(other)


def test_who_comes_second_takes_the_first_only_if_it_is_the_same(store):
    first = sealed(store, 4)
    assert sealed(store, 4).digest == first.digest
    other = sealed(store, 16)
    shutil.rmtree(first.path)
    shutil.copytree(other.path, first.path)
    with pytest.raises(ArtifactError, match="is not what its name says"):
        sealed(store, 4)


def test_who_comes_second_does_not_take_altered_files(store):
    (sealed(store, 4).path / "weights").write_text("rank 7")
    with pytest.raises(ArtifactError, match="was altered after it was made: weights"):
        sealed(store, 4)


def test_equal_beginnings_of_keys_are_told_apart(store, monkeypatch):
    real = ArtifactSpec.key.fget
    monkeypatch.setattr(ArtifactSpec, "key", property(lambda spec: "0" * 12 + real(spec)[12:]))
    monkeypatch.setattr(Store, "destination", lambda store, spec: store.folder(spec.stage) / f"pets--{spec.key[:12]}")
    first = ArtifactSpec("finetune", "pets", 2, {"rank": 4}, {})
    with store.scratch(first) as scratch:
        store.seal(first, scratch, {}, {}, {})
    second = ArtifactSpec("finetune", "pets", 2, {"rank": 16}, {})
    with store.scratch(second) as scratch, pytest.raises(ArtifactError, match=r"holds the key 0{12}.*, where 0{12}.* was made"):
        store.seal(second, scratch, {}, {}, {})


def test_a_file_that_is_missing_is_seen_without_reading_any(store):
    artifact = sealed(store, 4)
    (artifact.path / "weights").unlink()
    with pytest.raises(ArtifactError, match="was altered after it was made: weights missing"):
        store.find("finetune", artifact.key)


EDITS = {
    "a fact": lambda body: body["facts"].update(loss=0.1),
    "a fact of another type": lambda body: body["facts"].update(steps="many"),
    "a fact less": lambda body: body["facts"].pop("loss"),
    "a fact more": lambda body: body["facts"].update(tokens=1),
    "facts of another type": lambda body: body.update(facts=[]),
    "a parameter": lambda body: body["params"].update(rank=16),
    "a parameter less": lambda body: body["params"].pop("rank"),
    "a parameter of another type": lambda body: body["params"].update(rank=4.0),
    "an input": lambda body: body["inputs"].update(train="6" * 64),
    "an input more": lambda body: body["inputs"].update(heldout="6" * 64),
    "an input less": lambda body: body.update(inputs={}),
    "the version": lambda body: body.update(version=3),
    "the stage": lambda body: body.update(stage="generate"),
    "the key": lambda body: body.update(key="0" * 64),
    "the digest": lambda body: body.update(digest="0" * 64),
    "a hash of a file": lambda body: body["files"].update(weights="0" * 64),
    "a file more": lambda body: body["files"].update(more="0" * 64),
    "the lineage": lambda body: body["lineage"].update(train="cats--train--0123456789ab"),
    "no lineage": lambda body: body.pop("lineage"),
    "the label": lambda body: body.update(label="base--pets--r16"),
    "the provenance": lambda body: body["made"].update(seconds=1.0),
    "an entry more": lambda body: body.update(note="hello"),
    "an entry less": lambda body: body.pop("made"),
    "the checksum": lambda body: body.update(checksum="0" * 64),
}


@pytest.mark.parametrize("name", EDITS)
def test_verify_finds_every_edit_of_a_manifest(store, name):
    artifact = sealed(store, 4)
    assert verified(store) == "1 artifacts, every byte as it was made"
    edit(artifact, EDITS[name])
    with pytest.raises(
        views.AlteredError, match=r"1 of 1 artifacts are not as they were made:\n.*(altered after it was made|its name says)"
    ):
        verified(store)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '{"stage": {}}', "[" * 100_000, "\0", '{"facts": NaN}'])
def test_a_manifest_that_is_none_is_counted_and_the_rest_is_verified(store, text):
    bad, changed, good = sealed(store, 4), sealed(store, 8), sealed(store, 16)
    (bad.path / MANIFEST).write_text(text)
    (changed.path / "weights").write_text("")
    with pytest.raises(views.AlteredError) as raised:
        verified(store)
    assert raised.value.status == 3
    first, *others = raised.value.problem.splitlines()
    assert first == "2 of 3 artifacts are not as they were made:"
    assert sorted(str(bad.path) in line for line in others) == [False, True]
    assert sorted(str(changed.path) in line for line in others) == [False, True]
    assert {artifact.key for artifact in store.all()} == {changed.key, good.key}


def as_of_an_older_version(body):
    """The entries that manifests did not always have are taken out."""
    del body["checksum"], body["label"]


def test_older_manifests_are_read_and_counted(store):
    artifact = sealed(store, 4)
    sealed(store, 16)
    edit(artifact, as_of_an_older_version)
    assert Artifact.open(artifact.path).facts == artifact.facts
    assert store.find("finetune", artifact.key) is not None
    assert verified(store) == (
        "2 artifacts, every byte as it was made; 1 of them are of an older version, whose manifests hold no hash of their facts"
    )


@pytest.mark.parametrize("name", ["a parameter", "an input", "the version", "the stage", "a hash of a file", "facts of another type"])
def test_what_a_key_covers_is_found_in_older_manifests_too(store, name):
    artifact = sealed(store, 4)
    edit(artifact, as_of_an_older_version)
    edit(artifact, EDITS[name])
    with pytest.raises(views.AlteredError, match="was altered after it was made"):
        verified(store)


def test_swapped_adapters_answer_for_nobody(tmp_path, model):
    """Without the check rank 4 answered for rank 16, and `verify` passed."""
    recipe = project.make(tmp_path / "project", model["folder"])
    root = tmp_path / "store"
    for rank in (2, 4):
        project.carry_out(recipe, root, {"finetune.rank": rank}, stages={"finetune"})
    swap(*sorted(root.glob("checkpoints/*--*")))
    runs.verify_input.cache_clear()
    with pytest.raises(ArtifactError, match="is not what its name says"):
        project.carry_out(recipe, root, {"finetune.rank": 4})


def test_the_checksum_is_that_of_all_other_entries(store):
    body = json.loads((sealed(store, 4).path / MANIFEST).read_text("utf-8"))
    assert body.pop("checksum") == json_sha256(body)


def collected(store, *others, delete=False):
    """What `gc` prints."""
    console = Console(width=1000)
    with console.capture() as captured:
        views.collect_garbage(console, store, delete, list(others))
    return captured.get()


def test_gc_sees_what_a_killed_job_left_behind_under_a_key_of_the_past(store):
    artifact = sealed(store, 4)
    spec = spec_of(8)
    scratch = store.checkpoints / f".{store.destination(spec).name}.4711.123456789"
    unsealed = store.destination(spec_of(32))
    resume = store.resume_folder(spec)
    for folder in (scratch, unsealed, resume):
        folder.mkdir(parents=True)
        (folder / "state.pt").write_bytes(b"0" * 2048)
    left_over = [str(scratch), str(unsealed), str(resume)]
    with FileLock(f"{resume}.lock"):  # the job runs
        output = collected(store, delete=True)
    assert [path in output for path in left_over] == [False, True, False]
    output = collected(store)
    assert [path in output for path in left_over] == [True, False, True]
    assert "1 artifacts" not in output
    assert "2 folders left over by killed jobs; --delete removes them" in output
    collected(store, delete=True)
    assert not any(folder.exists() for folder in (scratch, unsealed, resume, artifact.path))


def test_gc_keeps_the_resume_point_of_a_job_that_a_recipe_wants(tmp_path, model, monkeypatch):
    recipe = project.make(tmp_path / "project", model["folder"])
    store = Store(tmp_path / "store" / "data", tmp_path / "store" / "checkpoints")
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.stages.finetune.finish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            project.carry_out(recipe, tmp_path / "store")
    (resume,) = (path for path in (store.checkpoints / ".resume").iterdir() if path.is_dir())
    assert {path.name for path in resume.iterdir()} == {leftovers.NOTE, "state.pt"}
    shutil.rmtree(store.data)  # its key cannot be told any more, and the note tells the job
    assert str(resume) not in collected(store, recipe)
    assert str(resume) in collected(store)
    project.carry_out(recipe, tmp_path / "store")
    assert not resume.exists()


def interrupt(*_):
    raise KeyboardInterrupt


def test_gc_keeps_and_names_what_cannot_be_read(store):
    artifact = sealed(store, 4)
    (artifact.path / MANIFEST).write_text("{")
    assert f"kept, since it cannot be read: {artifact.path}" in collected(store, delete=True)
    assert artifact.path.exists()


@pytest.mark.parametrize("stage", ["prepare", "finetune", "compare"])
def test_gc_takes_nothing_from_a_recipe_of_which_one_artifact_is_damaged(tmp_path, model, stage):
    recipe = project.make(tmp_path / "project", model["folder"])
    project.carry_out(recipe, tmp_path / "store")
    store = Store(tmp_path / "store" / "data", tmp_path / "store" / "checkpoints")
    unrelated = sealed(store, 4)
    (damaged, *_) = sorted(folder for folder in store.folder(stage).glob("*--*") if folder != unrelated.path)
    (damaged / MANIFEST).write_text("[[1")
    others = {*store.sealed_folders()} - {unrelated.path}
    assert len(others) > 5
    output = collected(store, recipe, delete=True)
    assert f"kept, since it cannot be read: {damaged}" in output
    assert {*store.sealed_folders()} == others


def test_a_finished_job_leaves_no_resume_folder(tmp_path, model):
    project.carry_out(project.make(tmp_path / "project", model["folder"]), tmp_path / "store", stages={"finetune"})
    assert not [path for path in (tmp_path / "store" / "checkpoints" / ".resume").iterdir() if path.is_dir()]
