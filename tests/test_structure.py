"""Imports go one way, heavy libraries load late, and nothing grows past its ceiling."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "pipeline"
FILES = sorted(path for path in PIPELINE.rglob("*.py") if "__pycache__" not in path.parts)
ROOMS = [
    ["errors", "progress", "resources"],
    ["arms"],
    ["config", "store", "sandbox", "machine"],
    ["harness"],
    ["models", "metrics", "references", "lora_land"],
    ["engine"],
    ["scoring", "serving"],
    ["data", "comparisons", "debugging"],
    ["measures", "quickstart"],
    ["tasks", "page", "planning"],
    ["stages"],
    ["runner", "schedule"],
    ["export", "cluster"],
    ["commands"],
    ["cli"],
    ["api"],
    ["__main__", "docs"],
]
"""Rooms and the modules of the root, lowest first. A room imports itself and what stands below it, never a neighbour."""
LEVEL = {name: level for level, names in enumerate(ROOMS) for name in names}
HEAVY = {
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "datasets",
    "accelerate",
    "evaluate",
    "ray",
    "optuna",
    "scipy",
    "statsmodels",
    "altair",
    "pandas",
    "jinja2",
    "openai",
    "lm_eval",
    "inspect_ai",
    "fastapi",
    "starlette",
    "uvicorn",
    "prometheus_client",
    "gguf",
    "llama_cpp",
}
LOADS_AT_TOP = ("metrics/", "comparisons/", "quickstart/pretrain.py")
"""An evaluate module must import evaluate at its top; the base model is made by a script of its own."""


def name_of(path):
    return path.relative_to(PIPELINE).with_suffix("").parts[0]


def imports(path):
    """Modules that a file imports, wherever in it the import stands."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PIPELINE)))
def test_imports_go_down(path):
    here = name_of(path)
    if here == "__init__":
        return
    assert here in LEVEL, f"give {here} a place in ROOMS"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "pipeline" and len(parts) > 1 and parts[1] != here:
            assert LEVEL[parts[1]] < LEVEL[here], f"{path}: {here} may not import {parts[1]}: it is not below it"


def test_the_root_stays_small():
    assert len(list(PIPELINE.glob("*.py"))) <= 12


@pytest.mark.parametrize("room", sorted(path.parent for path in PIPELINE.glob("*/__init__.py")), ids=lambda p: p.name)
def test_every_room_says_what_it_is_for(room):
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    assert re.search(r"\bImports? ", text), f"{room.name}/__init__.py: say what the room may import"
    assert re.search(r"\bStart with `", text), f"{room.name}/__init__.py: say where to start reading"
    for name in re.findall(r"`([a-z_/]+\.py)`", text):
        assert (room / name).exists() or (PIPELINE / name).exists(), f"{room.name}/__init__.py names {name}, which does not exist"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PIPELINE)))
def test_heavy_libraries_load_late(path):
    if str(path.relative_to(PIPELINE)).startswith(LOADS_AT_TOP):
        return
    tops = ast.parse(path.read_text("utf-8")).body
    names = {alias.name for node in tops if isinstance(node, ast.Import) for alias in node.names} | {
        n.module or "" for n in tops if isinstance(n, ast.ImportFrom)
    }
    assert not {name.split(".")[0] for name in names} & HEAVY


@pytest.mark.parametrize("verb", ["--help", "plan"])
def test_the_command_line_loads_nothing_heavy(verb):
    words = ["plan", str(ROOT / "recipes" / "quickstart.yaml")] if verb == "plan" else ["--help"]
    code = """
import sys
from pipeline import cli
try:
    cli.main()
except SystemExit as stopped:
    print("status", stopped.code or 0)
print(*{name.split(".")[0] for name in sys.modules}, *(name for name in sys.modules if name.startswith("pipeline.")))
"""
    ran = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=ROOT, check=True)
    *_, status, loaded = ran.stdout.splitlines()
    assert status == "status 0"
    assert "pydantic" in loaded.split()
    assert not (HEAVY | {"pipeline.page.render", "pipeline.page.charts_arms"}) & set(loaded.split())


def test_ceilings():
    over = []
    for path in FILES:
        tree, lines = ast.parse(path.read_text("utf-8")), path.read_text("utf-8").count("\n")
        over += [f"{path.name}: {lines} lines"] if lines > 400 else []
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length, count = node.end_lineno - node.lineno + 1, len(node.args.args) + len(node.args.kwonlyargs)
                over += [f"{path.name}: {node.name} has {length} lines"] if length > 50 else []
                over += (
                    [f"{path.name}: {node.name} has {count} parameters"]
                    if count - (node.args.args[:1] != [] and node.args.args[0].arg == "self") > 6
                    else []
                )
        over += [f"{path}: too deep"] if len(path.relative_to(PIPELINE).parts) > 3 else []
    assert not over


def test_top_level_is_fixed():
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    tops = {name.split("/")[0] for name in tracked}
    assert {
        "pyproject.toml",
        "pipeline",
        "recipes",
        "data",
        "checkpoints",
        "tests",
        "Makefile",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
    } <= tops
    assert tops <= {
        "pyproject.toml",
        "pipeline",
        "recipes",
        "data",
        "checkpoints",
        "tests",
        "Makefile",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "docs",
        "benchmarks",
        ".ci",
        ".gitignore",
        "constraints.txt",
    }


def file_names(*owners):
    """File names that are written as whole strings in these files."""
    values = {node.value for path in owners for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)}
    return {value for value in values if isinstance(value, str) and re.fullmatch(r"\w+\.(jsonl?|txt|csv|md|html|safetensors)", value)}


def test_files_of_stage_folders_are_named_in_one_place():
    owners = [PIPELINE / "store" / name for name in ("folders.py", "result_folders.py", "artifact.py")]
    names = file_names(*owners) - {"README.md"}  # a model card, but also what every project has
    assert {"examples.jsonl", "beside.json", "manifest.json", "preface.txt"} <= names
    assert {path.name: repeated for path in FILES if path not in owners and (repeated := file_names(path) & names)} == {}
