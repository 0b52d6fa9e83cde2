"""The benchmark of answers proves that peers give the same before it times them, and says which is faster."""

import pytest
import torch

from benchmarks import answers
from benchmarks.acceptance import workloads
from benchmarks.real_shape import random_base
from benchmarks.training_peers import TINY
from pipeline.engine import generation
from pipeline.models import loading


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = random_base(TINY, tmp_path_factory.mktemp("answers") / "base", torch.device("cpu"))
    return loading.read_model(folder, False, loading.Precision("none", "fp32"), torch.device("cpu"))


def test_every_way_gives_the_same_in_fp32(base):
    prompts, choices = workloads.prompts_with_choices(6, 1500, 64)
    for ways in (answers.generation_ways(prompts, TINY.vocab), answers.choice_ways(prompts, choices)):
        results = {name: way(base) for name, way in ways.items()}
        assert all(len(rows) == 6 for rows in results.values())
        assert max(answers.differences(results).values()) <= answers.TOLERANCE
    assert len(results) == 3
    assert max(map(max, results[answers.OURS])) < -5  # of several tokens, drawn at random


def test_a_peer_that_gives_something_else_is_not_timed(base):
    ways = {answers.OURS: lambda model: [[-1.0]], "peer": lambda model: [[-1.001]]}
    with pytest.raises(RuntimeError, match="peer gives something else in fp32"):
        answers.in_turn(ways, base, base, 1)
    result = answers.in_turn({answers.OURS: lambda model: [[5, 6]], "peer": lambda model: [[5, 6]]}, base, base, 3)
    assert (result["difference_fp32"], result["lengths"]) == ({"peer": 0.0}, [2])
    assert [len(rows) for rows in result["seconds"].values()] == [3, 3]


def test_differences_are_a_share_of_answers_or_nats():
    assert answers.differences({answers.OURS: [[5, 6], [7]], "peer": [[5, 6], [8]]}) == {"peer": 0.5}
    assert answers.differences({answers.OURS: [[-1.0, -2.0], [-3.0]], "peer": [[-1.0, -2.5], [-3.0]]}) == {"peer": 0.5}


@pytest.mark.parametrize(
    ("theirs", "word", "slow"), [([3.0, 2.0, 4.0], "faster", False), ([0.5, 1.5, 1.2], "tie", False), ([0.8, 0.5, 0.7], "slower", True)]
)
def test_ratios_are_taken_round_by_round(theirs, word, slow):
    seconds = {answers.OURS: [{"cpu": 2.0, "clock": 9.0}] * 3, "peer": [{"cpu": 2 * value, "clock": 9.0} for value in theirs]}
    pair = answers.compare(seconds, "peer", "cpu")
    assert (pair["median"], pair["low"], pair["high"], pair["word"]) == (sorted(theirs)[1], min(theirs), max(theirs), word)
    assert bool(answers.failures({"C1": {"pairs": [pair]}})) == slow
    assert answers.failures({"C1": {"pairs": [pair | {"seconds": "clock"}]}}) == []


def test_rows_end_at_different_tokens():
    stop = answers.stop_of(4096)
    assert isinstance(stop, generation.StopConditions)
    assert 4096 / len(stop.eos_ids) == pytest.approx(answers.END_EVERY, rel=0.01)
