"""Ways to train are compared only where they compute the same step, and a ratio on both sides of 1 is a tie."""

import pytest
import torch

from benchmarks import training_peers
from benchmarks.acceptance import training, workloads


@pytest.mark.parametrize(
    ("ours", "word"),
    [([20.0, 22.0, 30.0], "faster"), ([9.0, 11.0, 12.0], "tie"), ([5.0, 6.0, 9.0], "slower")],
)
def test_ratios_are_taken_within_a_round(ours, word):
    pair = training_peers.compare({"ours": ours, "peer": [10.0, 10.0, 10.0]}, "ours", "peer")
    assert pair == {"ours": "ours", "peer": "peer", "median": ours[1] / 10, "low": ours[0] / 10, "high": ours[2] / 10, "word": word}


def test_a_way_with_another_first_step_is_named():
    gradient = torch.tensor([1.0, 0.0])
    runs = {
        "first": ({"loss": 2.0}, gradient),
        "equal": ({"loss": 2.001}, torch.tensor([2.0, 0.01])),
        "other loss": ({"loss": 2.01}, gradient),
        "other gradient": ({"loss": 2.0}, torch.tensor([1.0, 0.2])),
        training_peers.OTHER_STEPS: ({"loss": 3.0}, torch.tensor([0.0, 1.0])),
    }
    assert list(training_peers.unequal(runs)) == ["other loss", "other gradient"]


@pytest.mark.parametrize(
    ("packed", "padded", "peer", "words"),
    [
        (12.0, 10.0, 9.0, []),
        (12.0, 10.0, 13.0, []),
        (9.0, 10.0, 5.0, ["packed rows are slower than padded ones: 9 and 10 tokens/s"]),
        (12.0, 10.0, 14.0, ["12 tokens/s, and TRL has 14"]),
    ],
)
def test_smoke_fails_for_slower_packs_and_for_a_peer_faster_by_a_tenth(packed, padded, peer, words):
    rates = {"loralift, packed": [packed], "loralift, padded": [padded], "TRL, default": [peer], training_peers.OTHER_STEPS: [100.0]}
    assert training_peers.failures(rates) == words


@pytest.mark.slow
def test_trl_computes_the_first_step_of_ours(tmp_path):
    device = torch.device("cpu")
    base = training_peers.random_quantized(training_peers.TINY, tmp_path, device)
    steps = training.Steps(workloads.short_supervised(2 * training_peers.BATCH, 1500, 64), training_peers.BATCH, 4096)
    runs = {name: run() for name, run in training_peers.ways(base, steps, tmp_path / "trl").items()}
    assert training_peers.unequal(runs) == {}
    assert all(rates["tokens_per_second"] > 0 for rates, _ in runs.values())
