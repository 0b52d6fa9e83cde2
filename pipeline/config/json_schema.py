"""Writes the JSON schema of recipes, by which editors complete keys, show their meaning and mark mistakes."""

from typing import Any

from pipeline.config.recipe import Recipe
from pipeline.config.schema import HELDOUT_NAMES
from pipeline.config.tuning import KEY as TUNE

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of a recipe as it stands in a file, where what is tuned may stand under `sweep`.

    A recipe that extends another may leave any key to it. Of names that mean the same key (`heldout`, `test`) one must be there.
    """
    schema = Recipe.model_json_schema()
    required = schema.pop("required")
    data = schema["$defs"]["Data"]
    heldout = data["properties"]["heldout"]
    data["properties"] |= {name: heldout for name in HELDOUT_NAMES}
    grid = next(form for form in schema["properties"]["sweep"]["oneOf"] if form["type"] == "object")
    grid["properties"] = {TUNE: {"$ref": "#/$defs/Tune"}}
    others = [key for key in data.pop("required") if key != "heldout"]
    data["oneOf"] = [{"required": [*others, name]} for name in HELDOUT_NAMES]
    return {
        "$schema": DRAFT,
        **schema,
        "title": "loralift recipe",
        "description": "What a run of loralift measures; docs/recipes.md explains every key.",
        "anyOf": [{"required": ["extends"]}, {"required": required}],
    }
