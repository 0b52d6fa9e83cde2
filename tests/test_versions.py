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
DEAR = {
    "finetune": ["stages/finetune", "training", "adapters", "engine", "loading", "text"],
    "refer": ["stages/refer", "references/ask", "references/endpoint", "kept"],
    "generate": ["stages/generate", "batched", "choices", "kept", "engine", "loading", "liveness", "text", "adapters", "shots"],
    "relate": ["stages/relate", "batched", "kept", "engine", "loading", "text"],
    "forget": ["stages/forget", "batched", "kept", "engine", "loading", "text", "adapters", "general"],
    "speed": ["stages/speed", "engine", "loading", "text", "adapters", "shots"],
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
