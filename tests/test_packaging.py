"""The wheel, built from the source distribution and installed into an environment of its own, works in any folder."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest

from tests import ROOT

SHIPPED = ("recipes", "checkpoints/quickstart-base", "data/published", "data/general")
BUILT_FROM = ("pipeline", *SHIPPED, "pyproject.toml", "README.md", "LICENSE")
SMALL = [
    *["tasks=[shop_sentiment]", "prepare.train_examples=32", "prepare.dev_examples=8", "prepare.heldout_examples=16"],
    *["finetune.max_steps=2", "compare.relevance_examples=0", "compare.speed_prompts=0", "general.examples=16"],
]
MOST_BYTES = 10 << 20
"""Of the wheel, which holds the base of the quickstart."""

pytestmark = pytest.mark.slow


def run(*words, cwd, status=0):
    """What a command prints, without this source tree on its path."""
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LORALIFT_SOURCES")}
    environ |= {"PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    ran = subprocess.run(list(map(str, words)), cwd=cwd, env=environ, capture_output=True, text=True, check=False, timeout=900)
    assert ran.returncode == status, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in BUILT_FROM:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-c", f"from hatchling import build; build.build_sdist({str(out)!r})", cwd=source)
    (archive,) = out.glob("*.tar.gz")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", out, archive, cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The command of an environment that holds the wheel, and the other packages of this one; its package folder is read-only."""
    home = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=home)
    run(sys.executable, "-m", "pip", "-q", "--python", home / "bin/python", "install", "--no-deps", wheel, cwd=home)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "others.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}) + "\n", "utf-8")
    package = site / "pipeline"
    before = files(package)
    for path in [package, *package.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    yield home / "bin/loralift"
    after = files(package)
    for path in [package, *package.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    assert after == before  # root may write to what is read-only


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_wheel_is_modest(wheel):
    assert wheel.stat().st_size < MOST_BYTES


def test_it_runs_its_own_files(installed, tmp_path):
    python = installed.with_name("python")
    output = run(python, "-c", "from pipeline import resources as r; print(r.shipped('recipes'), r.checkout())", cwd=tmp_path)
    assert output.split() == [str(next(installed.parents[1].glob("lib/python*/site-packages")) / "pipeline/shipped/recipes"), "None"]


@pytest.mark.parametrize(
    ("words", "shows"),
    [
        (["ls", "recipes"], "lora_land/gemma_2b "),
        (["check"], "31 of 31 tasks of LoRA Land"),
        (["published"], "LoRA Land: 31 tasks, ten bases"),
        (["plan", "quickstart"], "shop_notice"),
        (["plan", "recipes/quickstart.yaml"], "shop_notice"),
        (["plan", "lora_land/phi_2", "--gpus"], "finetune"),
    ],
    ids=lambda words: "-".join(words) if isinstance(words, list) else "",
)
def test_it_works_in_an_empty_folder(installed, tmp_path, words, shows):
    assert shows in run(installed, *words, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_recipe_of_the_user_extends_a_shipped_one(installed, tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: quickstart\nname: mine\n", "utf-8")
    assert run(installed, "plan", "mine.yaml", cwd=tmp_path) == run(installed, "plan", "quickstart", cwd=tmp_path)


def test_the_quickstart_runs_end_to_end(installed, tmp_path):
    output = run(installed, "compare", "quickstart", *SMALL, "--device", "cpu", cwd=tmp_path)
    (page,) = tmp_path.glob("data/report/quickstart--*/report.html")
    assert f"report: {page.relative_to(tmp_path)}" in output
    assert len(list(tmp_path.glob("checkpoints/quickstart-base--shop_sentiment--*/adapter_model.safetensors"))) == 1
    run(installed, "verify", page, cwd=tmp_path)
    assert re.search(r"\d+ jobs, 0 to run", run(installed, "plan", "quickstart", *SMALL, cwd=tmp_path))
