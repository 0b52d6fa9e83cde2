"""Keys of expensive work hold: finished adapters and answers are found after recipe keys are added and names change."""

import json
import shutil
from dataclasses import replace
from typing import Literal

import pytest

from pipeline import stages
from pipeline.config import recipe as recipes
from pipeline.config import recipe_files
from pipeline.config.finetune import Finetune
from pipeline.planning.plan import plan
from pipeline.store import key_history
from pipeline.store.artifact import MANIFEST, Artifact, ArtifactSpec, Store, json_sha256
from tests import ROOT, project

COMMIT = "0123456789abcdef0123456789abcdef01234567"
"""Stands for the commit of a base on the hub, so that a cache on this machine makes no difference."""
HELD = {
    "quickstart.yaml": {"finetune": "32b8ecbea6e1e75f", "generate": "8d04b43c6f371908"},
    "tour.yaml": {
        "finetune": "39363aa3bf262f3f",
        "generate": "0b42a039560b3dec",
        "relevance": "f2631965080f48fd",
        "general_loss": "5f68efaf2466e9c4",
        "speed": "74ed225e1ba570fa",
    },
    "quickstart_ranks.yaml": {"finetune": "7f4b839a19c4938a", "generate": "2ea79696b6a6c907", "general_loss": "6a488c7a5b1602d9"},
    "lora_land/phi_2.yaml": {"finetune": "694af1efee4baf50", "generate": "4193fb3065ba690e"},
}
"""By recipe and stage, a digest of the keys of its jobs. None of them may change: whoever has made these jobs would make them again.
Raising the VERSION of a stage is the one reason to change its row."""

HELD_VARIANTS = {"import_adapter": "4703873ac4007fbf", "import_model": "24cbdd0ff02d50a5", "generate": "292119a5f7e4d0bb"}
"""The same of a recipe that compares an adapter of every task, and a whole model."""


def key_of(job):
    """As its artifact's key, with keys of inputs for the digests of their bytes; a data set counts by its name alone."""
    if job.stage == "prepare":
        return job.label
    version = stages.find(job.stage).version(job.params)
    return ArtifactSpec(job.stage, job.label, version, job.params, {name: key_of(source) for name, source in job.inputs}).key


def keys_of(recipe):
    """By expensive stage, the keys of its jobs."""
    jobs = plan(recipe, ask=False)
    return {stage: sorted(key_of(job) for job in jobs if job.stage == stage) for stage in stages.expensive()}


def shipped(name):
    return recipes.load(ROOT / "recipes" / name, {"revision": COMMIT} if "/" in name else None)


@pytest.mark.parametrize("name", HELD)
def test_the_keys_of_shipped_recipes_hold(name):
    assert {stage: json_sha256(keys)[:16] for stage, keys in keys_of(shipped(name)).items() if keys} == HELD[name]


def test_the_keys_of_variants_hold():
    changes = {
        "revision": COMMIT,
        "variants": [{"name": "a", "adapter": f"predibase/{{task}}@{COMMIT}"}, {"name": "b", "model": f"some/model@{COMMIT}"}],
    }
    keys = keys_of(recipes.load(ROOT / "recipes" / "lora_land" / "published_adapters.yaml", changes))
    assert {stage: json_sha256(of_stage)[:16] for stage, of_stage in keys.items() if of_stage} == HELD_VARIANTS


def test_shipped_recipes_name_their_numbers_of_examples():
    """So that another default moves none of their keys."""
    for path in recipe_files.shipped_files():
        assert {"train_examples", "heldout_examples"} <= recipes.load(path).prepare.model_fields_set, path


class WithStart(Finetune):
    """The section as it is once somebody adds a key to it."""

    start: Literal["default", "warm"] = "default"


def with_start(recipe, **values):
    """A recipe under a loralift whose recipes have that key."""
    finetune = WithStart(**recipe.finetune.model_dump(), **values)
    return recipe.model_copy(update={"finetune": finetune})


@pytest.fixture
def added(monkeypatch):
    """The key `start` is known as one that was added, and recipes have it."""
    monkeypatch.setitem(key_history.AS_BEFORE, "finetune", {**key_history.AS_BEFORE["finetune"], "start": "default"})
    monkeypatch.setattr(recipes.Recipe, "points", lambda recipe, location="recipe": [({}, recipe)])  # a point is read anew, without it


def test_a_new_recipe_key_that_says_as_before_moves_no_key(added):
    before = shipped("tour.yaml")
    same, other = (keys_of(with_start(before, **values)) for values in ({}, {"start": "warm"}))
    trained = [job for job in plan(with_start(before), ask=False) if job.stage == "finetune"]
    assert {job.params["start"] for job in trained} == {"default"}  # the stage itself is told
    assert same == keys_of(before)
    assert not set(same["finetune"]) & set(other["finetune"])


def test_as_before_is_told_from_values_that_only_equal_it(monkeypatch):
    monkeypatch.setitem(key_history.AS_BEFORE, "finetune", {"merge": False, "scale": 1})
    assert key_history.hashed_params("finetune", {"rank": 4, "merge": False, "scale": 1}) == {"rank": 4}
    other = {"rank": 4, "merge": 0, "scale": 1.0}
    assert key_history.hashed_params("finetune", other) == other
    assert key_history.hashed_params("generate", {"merge": False}) == {"merge": False}


def test_an_older_adapter_is_found_and_says_what_it_was_made_with(tmp_path, model, monkeypatch):
    recipe = project.make(tmp_path, model["folder"])
    assert project.carry_out(recipe, tmp_path, stages={"finetune"}) == ["prepare", "prepare", "finetune"]
    (folder,) = (tmp_path / "checkpoints").glob("*--*")
    assert "packing" in Artifact.open(folder).params
    assert "start" not in json.loads((folder / MANIFEST).read_text("utf-8"))["params"]
    monkeypatch.setitem(key_history.AS_BEFORE, "finetune", {**key_history.AS_BEFORE["finetune"], "start": "default"})
    opened = Artifact.open(folder)
    assert opened.params["start"] == "default"
    assert ArtifactSpec("finetune", "", opened.version, opened.params, opened.inputs).key == opened.key


def test_a_short_run_has_a_version_of_its_own_and_is_found_by_it(tmp_path, model):
    """How many steps a run has is known once its examples are: 40 of them, 16 at a time, are three."""
    recipe = project.make(tmp_path, model["folder"])
    stage_names = ["prepare", "prepare", "finetune"]
    for changes, version in (({"finetune.batch_examples": 16}, "2, short runs without warm-up"), ({}, 2)):
        assert project.carry_out(recipe, tmp_path, changes, {"finetune"}) == stage_names
        assert project.carry_out(recipe, tmp_path, changes, {"finetune"}) == []
        newest = max((tmp_path / "checkpoints").glob("*--*"), key=lambda folder: folder.stat().st_mtime)
        assert Artifact.open(newest).version == version
        stage_names = ["finetune"]


def test_an_older_artifact_has_the_stage_and_inputs_of_today(tmp_path):
    store = Store(tmp_path / "data", tmp_path / "checkpoints")
    spec = ArtifactSpec("relevance", "pets", 1, {}, {"heldout": "1", "predictions": "2"})
    assert spec.key == json_sha256(["relate", 1, {}, {"exam": "1", "said": "2"}])
    with store.scratch(spec) as scratch:
        sealed = store.seal(spec, scratch, {}, {}, {"heldout": "pets--heldout", "predictions": "pets--base"})
    folder = tmp_path / "data" / "relate" / sealed.path.name
    shutil.move(sealed.path, folder)
    manifest = folder / MANIFEST
    old = json.loads(manifest.read_text("utf-8")) | {
        "stage": "relate",
        "inputs": {"exam": "1", "said": "2"},
        "lineage": {"exam": "pets--heldout", "said": "pets--base"},
    }
    del old["checksum"]  # older still
    manifest.write_text(json.dumps(old), "utf-8")
    opened = store.find("relevance", spec.key)
    assert opened == replace(sealed, path=folder)
    opened.verify()
    assert list(store.all()) == [opened]
