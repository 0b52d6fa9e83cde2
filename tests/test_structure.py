"""Imports go one way, heavy libraries load late, and nothing grows past its ceiling."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "pipeline"
FILES = sorted(path for path in PIPELINE.rglob("*.py") if "__pycache__" not in path.parts)
LAYERS = [
    ["errors"],
    ["records", "artifact"],
    ["mistakes"],
    ["sections"],
    ["recipe", "machine", "progress", "hush", "sandbox", "jail", "keeper", "constants", "shapes", "kept"],
    ["task", "answers", "metrics", "comparisons", "files", "hub", "stats"],
    ["placed", "hub_data", "models", "model_rows", "quickstart", "verdict", "land", "references"],
    ["source"],
    ["text", "engine", "adapters", "training", "tracking", "tasks"],
    [
        "inline",
        "loading",
        "liveness",
        "scoring",
        "measures",
        "general",
        "shots",
        "arms",
        "overlap",
        "fitting",
        "estimate",
        "batched",
        "choices",
        "timing",
    ],
    ["page", "table"],
    ["stages"],
    ["plan"],
    ["run", "order"],
    ["unlike", "gate"],
    ["proof"],
    ["views", "planned", "power", "preflight", "doctor"],
    ["cli"],
    ["__main__", "docs"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
HEAVY = {
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "datasets",
    "accelerate",
    "evaluate",
    "ray",
    "scipy",
    "statsmodels",
    "altair",
    "pandas",
    "jinja2",
    "openai",
}
LOADS_AT_TOP = ("metrics/", "comparisons/", "quickstart/pretrain.py")
"""An evaluate module must import evaluate at its top; the base model is made by a script of its own."""


def name_of(path):
    return path.relative_to(PIPELINE).with_suffix("").parts[0]


def imports(path):
    """Modules that a file imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PIPELINE)))
def test_imports_go_down(path):
    here = name_of(path)
    if here == "__init__":
        return
    assert here in LEVEL, f"give {here} a place in LAYERS"
    for found in imports(path):
        parts = found.split(".")
        if parts[0] == "pipeline" and len(parts) > 1 and parts[1] != here:
            assert LEVEL[parts[1]] <= LEVEL[here], f"{path}: {here} imports {parts[1]}, which stands above it"


def test_no_two_modules_import_each_other():
    pairs = {(name_of(path), found.split(".")[1]) for path in FILES for found in imports(path) if found.startswith("pipeline.")}
    assert not [pair for pair in pairs if pair[0] < pair[1] and pair[::-1] in pairs]


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
print(*{name.split(".")[0] for name in sys.modules})
"""
    shown = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=ROOT, check=True)
    *_, status, loaded = shown.stdout.splitlines()
    assert status == "status 0"
    assert "pydantic" in loaded.split()
    assert not HEAVY & set(loaded.split())


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
    given = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    tops = {name.split("/")[0] for name in given}
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
