"""Data files are found from the current folder, and beside the recipe that names them."""

import pytest
import yaml

from pipeline.config import recipe
from pipeline.data import inline
from tests import preparing

TASK = {
    "name": "tickets",
    "data": {"train": "train.jsonl", "heldout": "test.jsonl"},
    "prompt": "Ticket: {text}",
    "target": "{team}",
}


def write(folder, task=TASK, name="recipe.yaml", **keys):
    preparing.write_file(folder / name, yaml.safe_dump({"name": "t", "base": "some/model", "tasks": [task], **keys}))
    return folder / name


def data_of(path):
    return recipe.load(path).tasks[0].data


@pytest.fixture
def sub(tmp_path, monkeypatch):
    """A folder with data, below the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("train.jsonl", "test.jsonl"):
        preparing.write_file(tmp_path / "sub" / name, preparing.rows(2))
    return tmp_path / "sub"


def test_files_beside_the_recipe_are_found_from_any_folder(sub):
    data = data_of(write(sub).relative_to(sub.parent))
    assert (data.train, data.heldout) == ("sub/train.jsonl", "sub/test.jsonl")
    inline.find(recipe.load(sub / "recipe.yaml").tasks[0])


def test_a_file_of_the_current_folder_comes_first(sub):
    preparing.write_file(sub.parent / "train.jsonl", preparing.rows(2))
    data = data_of(write(sub))
    assert (data.train, data.heldout) == ("train.jsonl", str(sub / "test.jsonl"))


def test_a_folder_beside_the_recipe_is_found(sub):
    write(sub.parent / "recipes", TASK | {"data": {"folder": "../sub", "train": "train", "heldout": "test"}})
    assert data_of(sub.parent / "recipes" / "recipe.yaml").folder == str(sub.parent / "recipes" / "../sub")


def test_data_lie_beside_the_recipe_that_names_them(sub):
    write(sub)
    preparing.write_file(sub.parent / "other" / "child.yaml", "extends: ../sub/recipe.yaml\nname: child\n")
    data = data_of(sub.parent / "other" / "child.yaml")
    assert inline.find(recipe.load(sub.parent / "other" / "child.yaml").tasks[0])
    assert data.train.endswith("sub/train.jsonl")


def test_what_is_nowhere_and_what_is_on_the_hub_stays_as_written(sub):
    hub = TASK | {"data": {"hub": "a/b", "train": "train.jsonl", "heldout": "test.jsonl"}}
    assert data_of(write(sub, hub)).train == "train.jsonl"
    assert data_of(write(sub, TASK | {"data": {"train": "none.jsonl", "heldout": "test.jsonl"}})).train == "none.jsonl"
