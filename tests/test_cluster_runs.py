"""Sweeps on a Ray cluster of two nodes on this machine: what they make is what a local run makes, whatever is killed meanwhile."""

import os
import random
import re
import shutil
import subprocess
import sys
import time

import pytest

from pipeline.store.artifact import MANIFEST, Store
from tests import ROOT, project, ray_cluster

pytest.importorskip("ray")
pytestmark = pytest.mark.slow
RANKS = "sweep={finetune.rank: [2, 4]}"


@pytest.fixture(scope="module")
def cluster():
    with ray_cluster.nodes(2) as running:
        yield running


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, model):
    return project.make(tmp_path_factory.mktemp("project"), model["folder"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, recipe):
    """What a local run makes."""
    root = tmp_path_factory.mktemp("local")
    ran = sweep(recipe, root, "--device", "cpu")
    assert ran.returncode == 0, ran.stderr
    return digests(root)


def words(recipe, root, *options):
    """The command of a sweep; a later sweep among the options replaces the ranks."""
    return [sys.executable, "-m", "pipeline", "sweep", str(recipe), RANKS, "--tokens", "100", "--store", str(root), *options]


def sweep(recipe, root, *options, package=ROOT):
    environment = {**ray_cluster.environment(), "PYTHONPATH": str(package)}
    return subprocess.run(
        words(recipe, root, *options), cwd=package, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def digests(root):
    """Folder name to digest of everything but the report, which holds times."""
    rows = {}
    for artifact in Store(root / "data", root / "checkpoints").all():
        artifact.verify()
        if artifact.stage != "report":
            rows[artifact.path.name] = artifact.digest
    return rows


def test_a_sweep_makes_what_a_local_one_makes(cluster, recipe, undisturbed, tmp_path):
    ran = sweep(recipe, tmp_path, "--where", cluster.address)
    assert ran.returncode == 0, ran.stderr
    assert digests(tmp_path) == undisturbed
    assert "Ray cluster of 2 nodes: 2 jobs at a time, one thread each" in ran.stderr
    assert not list((tmp_path / "data").glob(".probe-*"))


def test_a_client_of_the_cluster_makes_the_same(cluster, recipe, undisturbed, tmp_path):
    ran = sweep(recipe, tmp_path, "--where", cluster.client, "sweep={finetune.rank: [2]}")
    assert ran.returncode == 0, ran.stderr
    shared = {name: digest for name, digest in digests(tmp_path).items() if name in undisturbed}
    assert shared.items() <= undisturbed.items()
    assert len(shared) >= 6  # two data sets, an adapter, two sets of answers, a comparison


def test_a_port_of_another_kind_is_named(cluster, recipe, tmp_path):
    swapped = cluster.client.removeprefix("ray://"), f"ray://{cluster.address}"
    for place, message in zip(swapped, ("not that of a Ray cluster", "not Ray's port for clients"), strict=True):
        ran = sweep(recipe, tmp_path, "--where", place)
        assert ran.returncode == 2
        assert f"--where {place}: this port is {message}" in ran.stderr


def test_more_jobs_than_the_cluster_takes_are_refused(cluster, recipe, tmp_path):
    ran = sweep(recipe, tmp_path, "--where", cluster.address, "--max-jobs", "3")
    assert ran.returncode == 2
    assert "--max-jobs 3: the cluster takes 2 jobs at a time" in ran.stderr
    assert not list(tmp_path.glob("data/*/*--*"))


def test_other_code_on_the_nodes_is_refused(cluster, recipe, tmp_path):
    """A client of a cluster whose nodes run the code of this source tree."""
    for name in ("pipeline", "checkpoints", "recipes", "data"):
        shutil.copytree(ROOT / name, tmp_path / "tree" / name, ignore=shutil.ignore_patterns("__pycache__", ".resume"))
    errors = tmp_path / "tree" / "pipeline" / "errors.py"
    errors.write_text(errors.read_text("utf-8") + "\n# changed\n", "utf-8")
    ran = sweep(recipe, tmp_path / "store", "--where", cluster.client, package=tmp_path / "tree")
    assert ran.returncode == 2
    assert re.search(r"the nodes cannot work together: .*has loralift's code [0-9a-f]{12} \(here [0-9a-f]{12}\)", ran.stderr)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to mount a tmpfs")
def test_a_store_that_only_the_driver_sees_is_refused(cluster, recipe, tmp_path):
    (tmp_path / "store").mkdir()
    script = f'mount -t tmpfs tmpfs {tmp_path / "store"} && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", *words(recipe, tmp_path / "store", "--where", cluster.address)]
    ran = subprocess.run(command, cwd=ROOT, env=ray_cluster.environment(), capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 2, ran.stderr
    assert "does not share the store" in ran.stderr


def test_killed_workers_and_a_lost_node_cost_no_result(recipe, undisturbed, tmp_path):
    """A random worker dies every five seconds, and one node for good."""
    rng = random.Random(0)
    first_seen: dict[str, float] = {}
    kills = 0
    with ray_cluster.nodes(2) as own, (tmp_path / "log").open("w+") as log:
        command = words(recipe, tmp_path, "--where", own.address)
        driver = subprocess.Popen(command, cwd=ROOT, env=ray_cluster.environment(), stdout=log, stderr=subprocess.STDOUT)
        start = last_kill = time.monotonic()
        is_removed = False
        while driver.poll() is None:
            time.sleep(0.2)
            note_sealed(tmp_path, first_seen)
            if kills >= 2 and not is_removed:
                own.remove(1)
                is_removed = True
            if first_seen and time.monotonic() > last_kill + 5.0 and kills < 3 and (workers := own.workers()):
                rng.choice(workers).kill()
                kills, last_kill = kills + 1, time.monotonic()
            assert time.monotonic() < start + 280, (tmp_path / "log").read_text()
        output = (tmp_path / "log").read_text()
    assert driver.returncode == 0, output
    assert kills >= 2
    assert "was lost; it goes on in another" in output
    assert "is gone; its jobs go to others" in output
    assert digests(tmp_path) == undisturbed
    note_sealed(tmp_path, first_seen)
    assert output.count("done in") == len(undisturbed) + 1  # with the report; none was made twice


def note_sealed(root, first_seen):
    """Fail if a sealed artifact was sealed anew."""
    for path in [*root.glob(f"data/*/*--*/{MANIFEST}"), *root.glob(f"checkpoints/*--*/{MANIFEST}")]:
        changed = path.stat().st_mtime
        assert first_seen.setdefault(str(path), changed) == changed
