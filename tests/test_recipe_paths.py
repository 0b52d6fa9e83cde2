"""Data files are found from the current folder or beside the recipe that names them; where both have one, it must be the same."""

import re

import pytest
import yaml

from pipeline.config import recipe
from pipeline.data import inline
from pipeline.errors import DataError, RecipeError
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


def test_of_two_equal_files_that_of_the_current_folder_is_taken(sub):
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


def test_two_files_that_differ_are_refused_and_both_are_named(sub):
    """No name says which is meant, and rows of the wrong one would be trained on without a word."""
    preparing.write_file(sub.parent / "train.jsonl", preparing.rows(3))
    both = f"{sub.parent / 'train.jsonl'} and {sub / 'train.jsonl'}"
    with pytest.raises(RecipeError, match=rf"train\.jsonl is both .* the two differ: {re.escape(both)}\.\n.*whole path") as error:
        recipe.load(write(sub).relative_to(sub.parent))
    assert str(error.value).count("\n") == 1
    whole = TASK | {"data": {"train": str(sub / "train.jsonl"), "heldout": "test.jsonl"}}
    assert data_of(write(sub, whole)).train == str(sub / "train.jsonl")


FOLDER = TASK | {"data": {"folder": "data", "train": "train", "heldout": "test"}}


def fill(folder, count, *names):
    for name in names:
        preparing.write_file(folder / name, preparing.rows(count))


def test_a_folder_counts_only_with_both_splits(sub):
    """So the store of artifacts, which is `data` as well, stands in nobody's way."""
    fill(sub / "data", 2, "train.jsonl", "test.jsonl")
    fill(sub.parent / "data", 3, "train.jsonl", "prepare/x--0/train.jsonl")
    assert data_of(write(sub, FOLDER)).folder == str(sub / "data")
    inline.find(recipe.load(sub / "recipe.yaml").tasks[0])


@pytest.mark.parametrize(("count", "names"), [(3, ["train.jsonl", "test.jsonl"]), (2, ["train.jsonl.gz", "test.jsonl"])])
def test_two_folders_whose_splits_differ_are_refused(sub, count, names):
    fill(sub / "data", 2, "train.jsonl", "test.jsonl")
    fill(sub.parent / "data", 2, "train.jsonl", "test.jsonl", "notes.jsonl")
    assert data_of(write(sub, FOLDER)).folder == "data"
    (sub.parent / "data" / "train.jsonl").unlink()
    fill(sub.parent / "data", count, *names)
    with pytest.raises(RecipeError, match="data is both in the current folder and beside the recipe"):
        recipe.load(sub / "recipe.yaml")


@pytest.mark.parametrize(
    ("data", "problem", "remedy"),
    [
        ({"train": "q.csv", "heldout": "test.jsonl"}, "there is no file q.csv", "The current folder has no data files"),
        ({"train": "tran.jsonl", "heldout": "test.jsonl"}, "there is no file tran.jsonl", "Did you mean '{sub}/train.jsonl'?"),
        ({"folder": "dat", "train": "train", "heldout": "test"}, "there is no folder dat", "Paths start at {sub.parent} or at"),
        ({"train": "a/b/c.jsonl", "heldout": "test.jsonl"}, "there is no file a/b/c.jsonl", "Nor is there a folder a/b"),
    ],
)
def test_of_what_is_in_neither_place_both_are_named(sub, data, problem, remedy):
    loaded = recipe.load(write(sub, TASK | {"data": data}, sweep={"finetune.rank": [2, 4]}))
    for _, point in loaded.points():
        with pytest.raises(DataError) as error:
            inline.find(point.tasks[0])
        assert error.value.problem == f"task 'tickets': {problem}, neither from {sub.parent} nor from {sub}."
        assert error.value.remedy.startswith(remedy.format(sub=sub))


def test_a_folder_is_named_once_where_both_are_the_same(sub, monkeypatch):
    monkeypatch.chdir(sub)
    loaded = recipe.load(write(sub, TASK | {"data": {"train": "none.jsonl", "heldout": "test.jsonl"}}).relative_to(sub))
    with pytest.raises(DataError, match=r"there is no file none\.jsonl\.\n"):
        inline.find(loaded.tasks[0])


def test_what_is_nowhere_and_what_is_on_the_hub_stays_as_written(sub):
    hub = TASK | {"data": {"hub": "a/b", "train": "train.jsonl", "heldout": "test.jsonl"}}
    assert data_of(write(sub, hub)).train == "train.jsonl"
    assert data_of(write(sub, TASK | {"data": {"train": "none.jsonl", "heldout": "test.jsonl"}})).train == "none.jsonl"
