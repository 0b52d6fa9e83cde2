"""Nothing that a person or a file can say brings a traceback: a mistake ends in a few lines that name it.

Random but repeatable: the inputs follow from a seed.
"""

import json
import random
import sys
from pathlib import Path

import pytest
import yaml

from pipeline import cli
from pipeline.config import recipe as recipes
from pipeline.config import yaml_text
from pipeline.errors import RecipeError, UserError
from pipeline.planning.plan import plan
from tests import project

ODD = [
    None, True, False, 0, -1, 1, 10**18, -(10**30), 0.5, -0.0, 1e308, float("nan"), float("inf"), "", " ", "\n", "a", "quickstart", "..", 
    "/", "~", "/dev/null", "a\0b", "\x1b[31m", "[red]x[/]", "[/]", "{", "{}", "{a.b[0]!r:>99}", "{text", "é" * 300, "\u202e\u200f",
    "\ud83d\ude00",
    "x" * 5000, "con", "a/b", "../../etc/passwd", "http://[", "https://user:key@host/v1?x#y", [], [[]], [None], ["a", "a"], {}, {"a": None},
    {"name": "a"}, {1: 2}, {"": ""}, [1, "a", {}], "2024-99-99", "1e6", "0x", "yes",
]  # fmt: skip
"""Values that stand where others are expected."""
LINES = [
    "a: &x [*x]",
    "? [1]\n: 2",
    "!!python/object/apply:os.system [ls]",
    "\t- x",
    "d: 2024-13-45",
    "i: 1_",
    "b: !!binary x",
    "%YAML 9",
    "---\n---",
]
HOSTILE_WORDS = [
    "", " ", "-", "--", "=", "=x", "a=", "a.b.c=1", "finetune=", "finetune.rank=&a [*a]", "tasks=[[[", "sweep={finetune.rank: 3}", 
    "extends=x",
    "\x1b[2J", "[/]", "[red]", "é", "\U0001f600", "x" * 5000, "/" + "y" * 300, "/dev/null", "/dev/zero", "/proc/self/mem", 
    "/nowhere/x.yaml",
    "~", "..", ".", "nul", "--nothing", "-9", "finetune.rank=" + "1" * 5000, "name=a/b", "base=" + "z" * 5000, "base=a\u0085b", "tasks=[]",
    "prepare={a: 1}", "references=[{}]", "generate.stop=[0]", "quickstart", "{}", "%s%n", "\udcff",
]  # fmt: skip
VERBS = sorted(command.name for command in cli.app.registered_commands if command.name not in ("check", "doctor"))
"""All but those that take no word; a whole test runs each of these."""


def status_of(monkeypatch, capsys, *words):
    """The exit status of a call of the command line, which must print no traceback and raise nothing that is not an exit."""
    monkeypatch.setattr(sys, "argv", ["loralift", *words])
    try:
        cli.main()
        status = 0
    except SystemExit as stopped:
        status = stopped.code or 0
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    return status


def places_of(value, path=()):
    """The path of every value in nested lists and mappings."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs:
        yield from places_of(part, (*path, key))


def spoiled(chance, recipe):
    """A recipe in which a few values are odd, keys are new or lines are odd; as text."""
    recipe = json.loads(json.dumps(recipe))
    for _ in range(chance.randint(1, 3)):
        place = chance.choice([place for place in places_of(recipe) if place])
        section = recipe
        for key in place[:-1]:
            section = section[key]
        if chance.random() < 0.2 and isinstance(section, dict):
            section[chance.choice(["x", "", "name ", "rank", "<<", "seeds", 3, None])] = chance.choice(ODD)
        elif chance.random() < 0.1:
            del section[place[-1]]
        else:
            section[place[-1]] = chance.choice(ODD)
    text = yaml.safe_dump(recipe, allow_unicode=chance.random() < 0.5)
    if chance.random() < 0.2:
        lines = text.splitlines()
        lines.insert(chance.randint(0, len(lines)), chance.choice(LINES))
        text = "\n".join(lines)
    if chance.random() < 0.05:
        text = text[: chance.randint(0, len(text))]
    return text


@pytest.fixture(scope="module")
def whole(tmp_path_factory, model):
    """A recipe with a key of every section, as a dict."""
    recipe = json.loads(project.make(tmp_path_factory.mktemp("project"), model["folder"]).read_text("utf-8"))
    sections = {name: recipes.Recipe.model_fields[name].default.model_dump(mode="json") for name in recipes.SECTIONS if name != "tune"}
    recipe = {**recipe, **{name: {**keys, **recipe.get(name, {})} for name, keys in sections.items()}}
    more = {"sweep": {"finetune.rank": [2, 4]}, "references": [{"name": "gpt", "endpoint": "http://127.0.0.1:9/v1", "model": "m"}]}
    recipe |= {**more, "revision": "a", "chat": False, "question": "why?"}
    recipe["compare"] = {**recipe["compare"], "unrelated": "shop_notice"}
    return recipe


def test_random_recipes_end_in_a_plan_or_a_mistake(whole, tmp_path):
    path, planned, mistakes, longest = tmp_path / "r.yaml", 0, 0, 0
    for seed in range(600):
        path.write_bytes(spoiled(random.Random(seed), whole).encode("utf-8", "surrogatepass"))
        try:
            planned += bool(plan(recipes.load(path), ask=False))
        except UserError as error:
            mistakes += 1
            longest = max(longest, *map(len, str(error).splitlines()))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    assert longest < 6000  # a value of 5,000 characters and what is wrong with it
    assert planned > 20
    assert mistakes > 300


def bomb(levels=9):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    return "\n".join(lines + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]) + f"\nname: *a{levels - 1}"


def merged_bomb(levels=6):
    lines = ["a0: &a0 {x: 1}"]
    return "\n".join(lines + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 20)}]}}" for n in range(1, levels)])


BOUNDED = {
    "billion laughs": (bomb(), "stands for more than 50,000 values"),
    "merged laughs": (merged_bomb(), "stands for more than 50,000 values"),
    "itself": ("tasks: &a [*a]", "an alias refers to what holds it"),
    "itself as a key": ("? &a [*a]\n: 1", "an alias refers to what holds it"),
    "deep lists": ("tasks: " + "[" * 5000, "nested"),
    "deep closed lists": ("tasks: " + "[" * 100 + "]" * 100, "nested more than 40 levels deep"),
    "deep mappings": ("{a: " * 2000 + "1" + "}" * 2000, "nested too deeply"),
    "long number": ("name: " + "9" * 6000, "a number of 6,000 characters"),
    "long time": ("name: " + ":".join(["1"] * 100_000), "a number of 199,999 characters"),
    "month 13": ("name: 2024-13-01", "a value cannot be read: month must be in 1..12"),
    "too long": ("# " + "x" * (1 << 20), "characters, and at most 1,048,576 are read"),
    "much too long": ("# " + "x" * (5 << 20), "bytes"),
    "code": ("name: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "points": ("name: a\nbase: quickstart-base\ntasks: [boolq]\nsweep:\n" + "".join(f"  finetune.{key}: {list(range(1, 40))}\n" for key in (
        "rank", "epochs", "batch_examples", "max_steps")), "sweep: it has 2,313,441 points, and at most 1,000 are run"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOUNDED)
def test_a_recipe_that_would_take_all_time_or_memory_is_refused(name, tmp_path):
    text, problem = BOUNDED[name]
    path = tmp_path / "r.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(RecipeError) as error:
        recipes.load(path)
    assert problem in str(error.value)
    assert len(str(error.value)) < 2000


def test_what_people_write_with_anchors_is_read():
    assert yaml_text.parse("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]") == {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": [{"x": 1}] * 2}
    assert yaml_text.parse("") is None


def test_a_chain_of_recipes_is_bounded(tmp_path):
    for number in range(40):
        (tmp_path / f"r{number}.yaml").write_text(f"extends: r{number + 1}.yaml\n", "utf-8")
    with pytest.raises(RecipeError, match=r"r10.yaml: more than 10 recipes extend one another"):
        recipes.load(tmp_path / "r0.yaml")
    (tmp_path / "itself.yaml").write_text("extends: itself.yaml\n", "utf-8")
    with pytest.raises(RecipeError, match="extends leads back"):
        recipes.load(tmp_path / "itself.yaml")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["Pets", "pets"], "tasks: Pets and pets differ in case only"),
        (["n" * 65], "at most 64 characters"),
        (["CON"], "'CON' cannot be a part of a file's name"),
        (["lpt1.x"], "'lpt1.x' cannot be a part of a file's name"),
        (["ends."], "'ends.' cannot be a part of a file's name"),
        (["a/b"], "letters, digits"),
        (["a\n"], "letters, digits"),
        (["a:b"], "letters, digits"),
        (["ä"], "letters, digits"),
    ],
)
def test_names_that_a_file_system_refuses_are_refused_in_plan(names, problem, whole, tmp_path, monkeypatch, capsys):
    (tmp_path / "r.yaml").write_text(json.dumps({**whole, "tasks": [{**whole["tasks"][0], "name": name} for name in names]}), "utf-8")
    with pytest.raises(RecipeError) as error:
        recipes.load(tmp_path / "r.yaml")
    assert problem in str(error.value)
    assert status_of(monkeypatch, capsys, "plan", str(tmp_path / "r.yaml")) == 2


def test_the_longest_names_fit_into_a_folder_name(whole, model, tmp_path):
    base = Path(model["folder"]).parent / f"{'b' * 100} [x]: *?"
    if not base.exists():
        base.symlink_to(model["folder"], target_is_directory=True)
    tasks = [{**whole["tasks"][0], "name": letter * 64} for letter in "tu"]
    recipe = recipes.Recipe.model_validate({"name": "r" * 64, "base": str(base), "tasks": tasks})
    for job in plan(recipe, ask=False):
        scratch = f".{job.label}--{'0' * 12}.{2**22}.{10**18}"
        assert len(scratch.encode()) <= 255
        assert not set(scratch) & set('<>:"/\\|?*[] ')


@pytest.mark.parametrize("verb", VERBS)
def test_hostile_words_end_in_a_few_lines(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("typer.launch", lambda *_: 0)
    runs = verb not in ("show", "ls", "verify", "gc", "published")
    for word in HOSTILE_WORDS:
        words = [word] if not runs else ["quickstart", word]
        if word != "quickstart" and verb not in ("gc",):
            assert status_of(monkeypatch, capsys, verb, *words, *(["--store", "s"] if verb != "published" else [])) in (0, 2), (verb, word)
        if runs and word != "quickstart":
            assert status_of(monkeypatch, capsys, verb, word) in (0, 2), (verb, word)
    assert not list(tmp_path.rglob("*--*"))
