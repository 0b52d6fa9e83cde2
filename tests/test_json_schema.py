"""The JSON schema of recipes: what ships is valid, mistakes are not, and every key has its meaning."""

import json
import re

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from pipeline import cli
from pipeline.config import recipe as recipes
from pipeline.config import recipe_files
from pipeline.config.json_schema import json_schema

VALIDATOR = jsonschema.Draft202012Validator(json_schema())
TASK = {"name": "tickets", "data": {"train": "a.jsonl", "test": "b.jsonl"}, "prompt": "{text}", "target": "{team}"}
PLAIN = {"name": "t", "base": "some/model", "tasks": [TASK]}


def mistakes(recipe):
    return [error.message for error in VALIDATOR.iter_errors(recipe)]


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(json_schema())


class Yaml12(yaml.SafeLoader):
    """Reads `2e-4` as a number, as YAML 1.2 and the editors that follow it do."""


Yaml12.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789"))


@pytest.mark.parametrize("path", recipe_files.shipped_files(), ids=recipe_files.short_name)
def test_recipes_that_ship_are_valid(path):
    assert mistakes(yaml.load(path.read_text("utf-8"), Yaml12)) == []


def test_what_is_tuned_may_stand_under_sweep():
    tune = {"finetune.learning_rate": {"log_uniform": [1e-4, 1e-2], "samples": 8}, "halving": 2}
    for whole in ({"sweep": {"finetune.rank": [1, 4], "tune": tune}}, {"tune": tune}):
        assert mistakes(PLAIN | whole) == []
    assert mistakes(PLAIN | {"sweep": {"tune": {**tune, "halving": 1}}})


@pytest.mark.parametrize("name", ["heldout", "test", "validation", "eval"])
def test_test_data_have_one_of_their_names(name):
    data = {"train": "a.jsonl", name: "b.jsonl"}
    assert mistakes(PLAIN | {"tasks": [TASK | {"data": data}]}) == []
    both = data | {"test" if name == "heldout" else "heldout": "c.jsonl"}
    for wrong in ({"train": "a.jsonl"}, both):
        assert mistakes(PLAIN | {"tasks": [TASK | {"data": wrong}]})


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"finetune": {"rnak": 8}}, "'rnak' was unexpected"),
        ({"finetune": {"rank": 0}}, "0 is less than or equal to the minimum of 0"),
        ({"compare": {"correction": "bonferroni"}}, "is not one of ['holm', 'none']"),
        ({"prepare": {"seed": "zero"}}, "'zero' is not of type 'integer'"),
        ({"tasks": []}, "[] should be non-empty"),
        ({"nmae": "x"}, "'nmae' was unexpected"),
    ],
)
def test_mistakes_are_marked(changes, part):
    assert any(part in message for message in mistakes(PLAIN | changes))


def test_a_recipe_lacks_nothing_or_extends_another():
    assert mistakes(PLAIN) == []
    assert mistakes({"extends": "quickstart", "finetune": {"rank": 4}}) == []
    assert mistakes({"name": "t", "tasks": ["boolq"]})


def test_every_key_says_what_it_means():
    schema = json_schema()
    keys = [(name, key, value) for name, part in schema["$defs"].items() for key, value in part["properties"].items()]
    silent = [f"{name}.{key}" for name, key, value in keys if not value.get("description")]
    undocumented = {f"{section}.{key}" for section, fields in documented().items() for key, text in fields.items() if not text}
    assert set(silent) == undocumented


def documented():
    """By section, the meaning of every key, as far as schema.py has one."""
    sections = {section.__name__: section for section in recipes.Section.__subclasses__() if section is not recipes.Recipe}
    named = {name: section for name, section in sections.items() if name in json_schema()["$defs"]}
    fields = {name: {key: field.description or "" for key, field in section.model_fields.items()} for name, section in named.items()}
    fields["Data"] |= dict.fromkeys(("test", "validation", "eval"), fields["Data"]["heldout"])
    return fields


def test_the_verb_prints_the_schema():
    result = CliRunner().invoke(cli.app, ["schema"])
    assert (result.exit_code, json.loads(result.stdout)) == (0, json_schema())
