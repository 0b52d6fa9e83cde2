import os

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
os.environ.setdefault("OMP_NUM_THREADS", "1")

import subprocess

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The spec of a tiny random base."""
    return tiny.make_model(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture(scope="session")
def train_part(tmp_path_factory):
    """A training part."""
    return tiny.write_part(tmp_path_factory.mktemp("lessons") / "train", tiny.examples(40))


@pytest.fixture(scope="session")
def adapter(tmp_path_factory, model, train_part):
    """A trained adapter of the tiny base."""
    from pipeline.stages import finetune

    work = tiny.work(tmp_path_factory.mktemp("adapter") / "adapter", {"model": model, **tiny.FINETUNE, "epochs": 3}, train=train_part)
    tiny.seal(work.out, finetune.run(work))
    return work.out


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)], capture_output=True, check=False).returncode
    ):
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
