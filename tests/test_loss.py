"""Where the output layer runs in training."""

import pytest
import torch

from pipeline.engine import batching
from pipeline.engine.loss import output_layer_at, target_loss
from pipeline.models import loading

CPU = torch.device("cpu")
ROWS = [
    batching.TokenRow.from_prompt(range(5, 9), (6, 7)),
    batching.TokenRow.from_prompt(range(5, 40), (8,)),
    batching.TokenRow.from_prompt(range(5, 9), (6, 7)).with_targets([(1, 2)]),
]


@pytest.fixture
def base(model):
    return loading.load(model, "nf4", "fp32", CPU)


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_the_output_layer_runs_once_for_every_target(base, layout):
    shapes = []
    watch = base.get_output_embeddings().register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape)))
    batch = batching.padded(ROWS, 0, CPU) if layout == "padded" else batching.packed(ROWS, CPU)
    with torch.no_grad():
        loss = float(target_loss(base, batch))
    watch.remove()
    assert shapes == [(2 + 1 + 3, base.config.vocab_size)]
    with torch.no_grad():
        alone = [base(input_ids=torch.tensor([row.ids]), labels=torch.tensor([row.labels])).loss * row.target_count for row in ROWS]
    assert loss == pytest.approx(float(sum(alone)), rel=1e-5)


def test_a_model_that_does_not_call_its_output_layer_has_the_same_loss(base):
    class Own(torch.nn.Module):
        """Multiplies by the weight of its output layer itself."""

        def get_output_embeddings(self):
            return base.get_output_embeddings()

        def forward(self, **inputs):
            output = base(**inputs)
            hidden = base.model(**inputs).last_hidden_state
            output.logits = hidden @ base.get_output_embeddings().weight.T
            return output

    batch = batching.padded(ROWS, 0, CPU)
    with torch.no_grad():
        assert float(target_loss(Own(), batch)) == pytest.approx(float(target_loss(base, batch)), rel=1e-5)


def test_the_output_layer_reads_everything_again_after_a_pass_that_failed(base):
    ids = torch.tensor([[5, 6, 7]])
    with pytest.raises(IndexError), output_layer_at(base, torch.ones(1, 4, dtype=torch.bool)):
        base(input_ids=ids)
    assert base(input_ids=ids).logits.shape[:2] == (1, 3)
