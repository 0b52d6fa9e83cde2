import os

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The spec of a tiny random base."""
    return tiny.make_model(tmp_path_factory.mktemp("tiny") / "base")
