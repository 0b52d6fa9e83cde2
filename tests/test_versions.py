"""The dear stages are keyed by a VERSION raised by hand; this notices when their code changed and it was not."""

import ast
import hashlib
import json
import os
from importlib import import_module
from pathlib import Path

import pytest

PIPELINE = Path(__file__).parents[1] / "pipeline"
FROZEN = Path(__file__).with_name("versions.json")
WEIGHTS = ["engine/resumable", "store/row_log", "engine/batching", "models/loading", "models/renderer"]
DEAR = {
    "finetune": ["stages/finetune", "engine/training_state", "models/adapters", *WEIGHTS[2:], "engine/loss"],
    "refer": ["stages/refer", "references/ask", "references/endpoint", "store/row_log"],
    "generate": [
        *["stages/generate", *WEIGHTS, "engine/choices", "engine/generation", "engine/likelihood"],
        *["models/liveness", "models/adapters", "data/few_shot_prompts"],
    ],
    "relate": ["stages/relate", *WEIGHTS, "engine/likelihood"],
    "forget": ["stages/forget", *WEIGHTS, "engine/likelihood", "models/adapters", "data/general_text"],
    "speed": [
        *["stages/speed", *WEIGHTS[2:], "engine/timing", "engine/choices", "engine/generation", "engine/likelihood"],
        *["models/adapters", "data/few_shot_prompts"],
    ],
}
"""A stage and what it stands on that can change its bytes."""


def code_hash(names: list[str]) -> str:
    """Of the syntax trees without docstrings, so comments and layout are free."""
    whole = hashlib.sha256()
    for name in names:
        tree = ast.parse((PIPELINE / f"{name}.py").read_text("utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
                del body[0]
        whole.update(ast.dump(tree).encode())
    return whole.hexdigest()[:16]


def current() -> dict[str, list[int | str]]:
    return {stage: [import_module(f"pipeline.stages.{stage}").VERSION, code_hash(names)] for stage, names in DEAR.items()}


@pytest.mark.parametrize("stage", DEAR)
def test_a_changed_stage_has_a_raised_version(stage):
    if os.environ.get("FREEZE"):
        FROZEN.write_text(json.dumps(current(), indent=1) + "\n", "utf-8")
    assert current()[stage] == json.loads(FROZEN.read_text("utf-8"))[stage], (
        f"the code of {stage} changed: raise VERSION in pipeline/stages/{stage}.py if its results can change, then `make freeze`"
    )
