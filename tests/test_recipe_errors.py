"""Each file in cases/recipe/ is a recipe, a line of dashes, and what is said of it."""

from pathlib import Path

import pytest

from pipeline.config import recipe
from pipeline.config.validation_errors import nearest
from pipeline.data import inline
from pipeline.errors import DataError, RecipeError, suggest

CASES = sorted((Path(__file__).parent / "cases" / "recipe").glob("*.txt"))
GOOD = "name: t\nbase: some/model\ntasks: [{name: q, data: {hub: a/b, train: train, heldout: test}, prompt: '{x}', target: '{y}'}]\n"


def load(text, tmp_path, monkeypatch):
    """Load a recipe as the command line does, from the folder where it lies."""
    monkeypatch.chdir(tmp_path)
    Path("recipe.yaml").write_text(text, "utf-8")
    loaded = recipe.load(Path("recipe.yaml"))
    for task in loaded.tasks:
        inline.find(task)
    return loaded


def test_there_are_cases():
    assert len(CASES) >= 22


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.stem)
def test_error(case, tmp_path, monkeypatch):
    text, _, message = case.read_text("utf-8").partition("\n---\n")
    with pytest.raises((RecipeError, DataError)) as error:
        load(text, tmp_path, monkeypatch)
    assert str(error.value) == message.strip()


def test_a_good_recipe_has_no_error(tmp_path, monkeypatch):
    assert load(GOOD, tmp_path, monkeypatch).finetune.rank == 16


def test_missing_recipe_names_the_nearest(tmp_path, monkeypatch):
    load(GOOD, tmp_path, monkeypatch)
    with pytest.raises(RecipeError, match=r"there is no recipe recipes\.yaml\.\n  Did you mean 'recipe\.yaml'\?"):
        recipe.load(Path("recipes.yaml"))
    for missing in ("no/x.yaml", "zzzzzz.yaml", "recipes/qqqqqq.yaml"):
        with pytest.raises(RecipeError) as error:
            recipe.load(Path(missing))
        assert str(error.value) == f"there is no recipe {missing}.\n  The current folder is {tmp_path}."


def test_a_recipe_that_is_no_text(tmp_path):
    (tmp_path / "r.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"cannot read .*r\.yaml"):
        recipe.load(tmp_path / "r.yaml")


def test_a_change_on_the_command_line_meets_the_same_checks(tmp_path):
    (tmp_path / "r.yaml").write_text(GOOD + "finetune: 8\n", "utf-8")
    with pytest.raises(RecipeError, match=r"finetune must be keys and values \(it is 8\)"):
        recipe.load(tmp_path / "r.yaml", {"finetune.rank": 4})
    with pytest.raises(RecipeError, match=r"'rank' is not a key of a recipe\.\n  Did you mean 'finetune\.rank'\?"):
        recipe.load(tmp_path / "r.yaml", {"rank": 4})


def test_all_mistakes_are_said_at_once():
    with pytest.raises(RecipeError) as error:
        recipe.build({"nmae": "x", "base": 7, "tasks": ["a", {"name": "q", "promt": 1}], "finetune": {"rank": 0, "seeds": 3}})
    assert str(error.value).count("\n") == 6


def refusal(raw):
    try:
        recipe.build(raw).points()
    except RecipeError as error:
        return str(error)
    return ""


def test_there_is_no_place_without_a_sentence():
    """Whatever is put in the place of any one value, what comes is a RecipeError or a recipe, and its lines are short."""
    good = {
        "name": "t",
        "base": "b",
        "tasks": [{"name": "q", "data": {"hub": "a/b", "train": "x", "heldout": "y"}, "prompt": "{x}", "target": "{y}"}],
    }
    places = [key.partition(".") for key in recipe.dotted_keys()]
    tried = 0
    for section, _, key in places:
        for junk in (None, "", "?", -1, 1e300, float("nan"), [], [None], {}, {"a": {"b": []}}, True, [[1]], [{"name": 1}]):
            raw = good | ({section: {key: junk}} if key else {section: junk})
            tried += 1
            assert all(len(line) < 700 for line in refusal(raw).splitlines())
    assert tried > 400


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return folder / f"{next(iter(files))}.yaml"


def test_a_recipe_extends_another_key_by_key(tmp_path):
    mine = "extends: base.yaml\nname: mine\nfinetune: {rank: 4}\nsweep: {finetune.rank: [1, 2]}\n"
    base = GOOD + "finetune: {rank: 8, dropout: 0.1}\nprepare: {train_examples: 7}\nsweep: {prepare.seed: [0, 1]}\n"
    loaded = recipe.load(write(tmp_path, mine=mine, base=base), {"finetune.alpha_per_rank": 1.0})
    assert (loaded.name, loaded.base, loaded.extends) == ("mine", "some/model", None)
    assert (loaded.finetune.rank, loaded.finetune.dropout, loaded.finetune.alpha_per_rank) == (4, 0.1, 1.0)
    assert loaded.prepare.train_examples == 7
    assert loaded.sweep == {"finetune.rank": [1, 2]}


def test_a_recipe_may_extend_one_that_extends(tmp_path):
    (tmp_path / "deep").mkdir()
    write(tmp_path, top=GOOD + "prepare: {seed: 3}\nfinetune: {rank: 8}\n")
    write(tmp_path / "deep", middle="extends: ../top.yaml\nfinetune: {rank: 9, epochs: 2}\n")
    loaded = recipe.load(write(tmp_path / "deep", mine="extends: middle.yaml\nfinetune: {epochs: 3}\n"))
    assert (loaded.finetune.rank, loaded.finetune.epochs) == (9, 3)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": "extends: b.yaml\n", "b": "extends: a.yaml\n"}, r"b\.yaml: extends leads back to .*a\.yaml\.\n  Take the key out"),
        ({"a": "extends: a.yaml\n"}, r"a\.yaml: extends leads back to"),
        (
            {"a": "extends: bb.yaml\n", "bc": GOOD},
            r"a\.yaml: in what it .*: there is no recipe .*bb\.yaml\.\n  Did you mean '.*bc\.yaml'\?",
        ),
        ({"a": "extends: [b.yaml]\n", "b": GOOD}, r'extends must be the path of one recipe \(it is \["b\.yaml"\]\)'),
        ({"a": "extends: b.yaml\nfinetune: {rnk: 1}\n", "b": GOOD}, r"a\.yaml \(extends .*b\.yaml\): finetune\.rnk is not a key"),
        ({"a": "extends: b.yaml\n", "b": "{{"}, r"a\.yaml: in what it extends: .*b\.yaml, line 1: "),
        ({"a": "extends: b.yaml\n", "b": "extends: c.yaml\n"}, r"b\.yaml: in what it extends: there is no recipe .*c\.yaml\."),
    ],
)
def test_what_cannot_be_extended(files, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        recipe.load(write(tmp_path, **files))


@pytest.mark.parametrize(
    "key", ["sweep.finetune.rank", "references.price", "base.x", "tasks.shop_notice", "extends", "references.0.name", "name.x"]
)
def test_a_dotted_key_outside_the_sections_is_refused(key, tmp_path):
    with pytest.raises(RecipeError, match=f"'{key}' is not a key of a recipe"):
        recipe.load(write(tmp_path, a=GOOD), {key: 3})


def test_extends_is_not_suggested_for_itself(tmp_path):
    with pytest.raises(RecipeError) as error:
        recipe.load(write(tmp_path, a=GOOD), {"extends": "x"})
    assert "Did you mean" not in str(error.value)


@pytest.mark.parametrize("key", ["references", "extends", "name"])
def test_what_belongs_to_the_whole_recipe_cannot_be_swept(key, tmp_path):
    with pytest.raises(RecipeError, match=f"sweep: .*{key}"):
        recipe.load(write(tmp_path, a=GOOD + f"sweep: {{{key}: [[], []]}}\n"))


def test_a_folder_is_no_recipe(tmp_path):
    write(tmp_path, a=GOOD, _base=GOOD)
    with pytest.raises(RecipeError, match=r"is a folder, not a recipe\.\n  YAML files in it: [^,]*a\.yaml\.$"):
        recipe.load(tmp_path)


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("shop_notise", "Did you mean 'shop_notice'?"),
        ("nosuch", "The nearest are shop_notice, customer_support; all: HERE."),
        ("gsm", "The nearest is jigsaw; all: HERE."),
        ("zzz", "See HERE for all of them."),
    ],
)
def test_only_what_is_near_is_named_and_once(word, remedy):
    names = ["shop_notice", "customer_support", "jigsaw", "shop_notice"]
    assert nearest(word, names, "HERE") == remedy


def test_what_is_known_is_listed_once():
    assert suggest("zzz", ["b", "a", "b"]) == "Known: a, b."


@pytest.mark.parametrize("name", ["quickstart", "quickstart.yaml", "recipes/quickstart.yaml"])
def test_a_shipped_recipe_is_known_by_name_in_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    assert recipe.load(Path(name)).base == "quickstart-base"
    (tmp_path / "mine.yaml").write_text(f"extends: {name}\nname: mine\n", "utf-8")
    assert recipe.load(Path("mine.yaml")).base == "quickstart-base"
    (tmp_path / name).parent.mkdir(exist_ok=True)
    if name.endswith(".yaml"):
        (tmp_path / name).write_text(GOOD, "utf-8")
        assert recipe.load(Path(name)).base == "some/model", "a file of one's own comes first"


def test_a_misspelt_name_of_a_shipped_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"there is no recipe quikstart\.\n  Did you mean 'quickstart', which ships with loralift\?"):
        recipe.load(Path("quikstart"))


def test_an_override_of_a_text_that_yaml_cannot_read_is_one_line(tmp_path):
    (tmp_path / "recipe.yaml").write_text(GOOD + '\nquestion: "Task: lift: how much?"\n', "utf-8")
    with pytest.raises(RecipeError, match="question"):
        recipe.load(tmp_path / "recipe.yaml", {"question": 2024})
