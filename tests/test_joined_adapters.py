"""Adapters whose matrices are joined answer as each does alone by peft, whatever is loaded, evicted and mixed; and take no more memory."""

import random
import warnings
from contextlib import nullcontext

import pytest
import torch

from pipeline.engine import batching
from pipeline.models import dense_weights, loading
from pipeline.serving.batch import Batch
from pipeline.serving.joined_products import Layout, Slot, products_of
from pipeline.serving.resident_adapters import ResidentAdapters
from pipeline.serving.rows import Row, RowRequest
from tests import ROOT, foreign

BASE_FOLDER = ROOT / "checkpoints" / "quickstart-base"
BASE = "base"
ADAPTERS = {
    "red": {"r": 4},
    "green": {"r": 8, "target_modules": ["q_proj", "v_proj", "lm_head"]},
    "blue": {"r": 4, "use_rslora": True, "lora_alpha": 3},
    "pink": {"r": 4, "rank_pattern": {"q_proj": 2, "down_proj": 6}, "alpha_pattern": {"v_proj": 2}},
    "brown": {"r": 8, "lora_alpha": 32, "target_modules": "all-linear"},
    "grey": {"target_modules": ["q_proj", "embed_tokens"]},
    "violet": {"use_dora": True},
    "white": {"target_modules": ["q_proj"], "modules_to_save": ["norm"]},
}
UNMIXED = ("violet", "white")


def ids_of(number, length):
    return [20 + (37 * number + 11 * place) % 1400 for place in range(length)]


INPUTS = [ids_of(number, 3 + 4 * number) for number in range(4)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """By id, adapters as peft saves them."""
    root = tmp_path_factory.mktemp("adapters")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`")
        return {name: foreign.adapter(root / name, BASE_FOLDER, seed, **options) for seed, (name, options) in enumerate(ADAPTERS.items())}


def base(folder=BASE_FOLDER, quantization="none", compute="fp32"):
    return loading.read_model(folder, False, loading.Precision(quantization, compute), torch.device("cpu"))


def alone(folders, **options):
    """By model and input, the logits (tokens, vocabulary) of an adapter that peft alone answers with, on a base of its own."""
    from peft import PeftModel

    logits = {}
    for name in (BASE, *folders):
        model = base(**options)
        model = PeftModel.from_pretrained(model, folders[name]).eval() if name in folders else model
        with torch.inference_mode():
            for number, ids in enumerate(INPUTS):
                logits[name, number] = model(input_ids=torch.tensor([ids])).logits[0].float()
    return logits


@pytest.fixture(scope="module")
def expected(folders):
    return alone(folders)


def answered(adapters, rows):
    """The logits (tokens, vocabulary) of rows, pairs of model and input, that share a pass over their prompts but for the last token, and a
    pass over that token."""
    from transformers import DynamicCache

    ids, mask = batching.left_padded([INPUTS[number] for _, number in rows], 0, torch.device("cpu"))
    positions, cache, models, parts = batching.positions(mask), DynamicCache(), [model for model, _ in rows], []
    last = ids.shape[1] - 1
    with torch.inference_mode():
        for first, stop in ((0, last), (last, last + 1)):
            out = adapters.forward(
                models, input_ids=ids[:, first:stop], attention_mask=mask[:, :stop], position_ids=positions[:, first:stop],
                past_key_values=cache, use_cache=True,
            )  # fmt: skip
            parts.append(out.logits.float())
    whole = torch.cat(parts, 1)
    return [whole[place, -len(INPUTS[number]) :] for place, (_, number) in enumerate(rows)]


def check(adapters, rows, expected, tolerance):
    for (model, number), logits in zip(rows, answered(adapters, rows), strict=True):
        assert (logits - expected[model, number]).abs().max() < tolerance, (model, number)


@pytest.mark.parametrize("seed", range(6))
def test_logits_are_those_of_each_adapter_alone_after_loads_and_evictions_in_any_order(folders, expected, seed):
    chance = random.Random(seed)
    limit = chance.choice([1, 2, 3, 8])
    adapters = ResidentAdapters(base(), folders, limit)
    mixable = [BASE, *(name for name in folders if name not in UNMIXED)]
    for _ in range(12):
        models = [chance.choice(UNMIXED)] if chance.random() < 0.25 else chance.sample(mixable, min(len(mixable), chance.randint(1, limit)))
        for model in models:
            adapters.use(model, models)
        rows = [(chance.choice(models), chance.randrange(len(INPUTS))) for _ in range(chance.randint(1, 7))]
        check(adapters, rows, expected, 1e-4)
    assert adapters.evictions > 0 or limit == len(folders)


def test_adapters_of_one_module_differ_in_the_logits_of_a_batch(folders, expected):
    """Else no test here would see rows that are mixed up."""
    final = [expected[model, 1][-1] for model in (BASE, *folders)]
    assert all((one - other).abs().max() > 0.1 for place, one in enumerate(final) for other in final[:place])


@pytest.mark.parametrize("is_dense", [True, False])
def test_logits_over_4_bit_weights(folders, is_dense):
    some = {name: folders[name] for name in ("red", "green", "pink")}
    expected = alone(some, quantization="nf4")
    model = base(quantization="nf4")
    rows = [("red", 0), (BASE, 1), ("pink", 2), ("green", 3), ("red", 2)]
    with dense_weights.dequantized(model) if is_dense else nullcontext():
        adapters = ResidentAdapters(model, some, 3)
        for name in some:
            adapters.use(name, some)
        check(adapters, rows, expected, 1e-4)


def test_terms_are_added_in_the_precision_of_peft_over_a_base_in_bf16(folders):
    some = {name: folders[name] for name in ("red", "green", "pink")}
    adapters = ResidentAdapters(base(compute="bf16"), some, 3)
    for name in some:
        adapters.use(name, some)
    names = [adapters.names[model] for model in ("pink", "red", "green", "red")] + ["__base__"]
    torch.manual_seed(0)
    for columns in (1, 5):
        adapters.joined.begin(names, columns)
        for module in adapters.joined.layers:
            x = torch.randn(len(names), columns, module.in_features, dtype=torch.bfloat16)
            with torch.inference_mode():
                by_peft = type(module).forward(module, x, adapter_names=names)
                torch.testing.assert_close(module(x), by_peft, rtol=2**-7, atol=1e-6)  # a last place
                assert not torch.equal(by_peft, module.base_layer(x))


def storages(adapters):
    """The bytes of all tensors of adapters that a model holds, each memory counted once."""
    layers = adapters.joined.layers.values()
    tensors = [value for name, value in adapters.base.named_parameters() if "lora_" in name]
    tensors += [tensor for layer in layers for stack in layer.matrices.stacks.values() for tensor in (stack.a, stack.b)]
    return sum({tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}.values())


def size(folder):
    """The bytes of an adapter as peft alone holds it."""
    from safetensors.torch import load_file

    return sum(4 * tensor.numel() for tensor in load_file(folder / "adapter_model.safetensors").values())


def test_adapters_are_held_once_and_one_free_slot_for_each_module_at_most(folders):
    mixable = {name: folder for name, folder in folders.items() if name not in UNMIXED}
    adapters = ResidentAdapters(base(), mixable, 3)
    chance = random.Random(1)
    free = []
    for _ in range(25):
        adapters.use(chance.choice(list(mixable)), [])
        needed = [size(folders[model]) for model in adapters.names]
        held = storages(adapters)
        assert sum(needed) <= held <= sum(needed) + max(map(size, mixable.values()))
        free.append(held - sum(needed))
    assert adapters.evictions > 5
    assert 0 in free  # as long as nothing was evicted


def test_a_free_slot_is_taken_without_a_copy_of_the_others(folders):
    twins = {name: folders["red"] for name in ("one", "two", "three", "four")}
    adapters = ResidentAdapters(base(), twins, 2)
    for name in ("one", "two", "three"):
        adapters.use(name, [])
    stacks = [stack for layer in adapters.joined.layers.values() for stack in layer.matrices.stacks.values()]
    before = [stack.a.data_ptr() for stack in stacks]
    adapters.use("four", [])
    assert [stack.a.data_ptr() for stack in stacks] == before


def row(model, number, tokens):
    return Row(RowRequest(tuple(INPUTS[number]), model, tokens, ()), 0, lambda ids: "", lambda piece: None)


def test_adapters_are_loaded_and_evicted_while_rows_of_others_are_in_work(folders):
    mixable = {name: folder for name, folder in folders.items() if name not in UNMIXED}

    def run(pairs, others):
        adapters = ResidentAdapters(base(), mixable, 3)
        batch = Batch(adapters, 0, 10**6)
        rows = [row(model, number, 12) for model, number in pairs]
        for entering in rows:
            adapters.use(entering.request.model, [model for model, _ in pairs])
            batch.enter([entering])
        for other in others:
            adapters.use(other, [model for model, _ in pairs])
            batch.step()
        while batch.rows:
            batch.step()
        return [entered.tokens for entered in rows], adapters.evictions

    pairs = [("red", 0), (BASE, 1), ("green", 2), ("red", 3)]
    single = [run([pair], [])[0][0] for pair in pairs]
    together, evictions = run(pairs, ["blue", "pink", "brown", "grey", "blue", "pink"])
    assert together == single
    assert evictions >= 4


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    """A random base with a shared expert, which reads the tokens of all rows in one line."""
    from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM

    folder = tmp_path_factory.mktemp("models") / "experts"
    torch.manual_seed(0)
    config = Qwen2MoeConfig(
        vocab_size=1500, hidden_size=64, intermediate_size=64, moe_intermediate_size=32, shared_expert_intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, num_experts=4, num_experts_per_tok=2, initializer_range=0.2,
        max_position_embeddings=64, use_sliding_window=False,
    )  # fmt: skip
    Qwen2MoeForCausalLM(config).save_pretrained(folder)
    return folder


def test_a_shared_expert_reads_the_tokens_of_all_rows_in_one_line(experts, tmp_path):
    targets = ["q_proj", "gate_proj", "up_proj", "down_proj", "shared_expert_gate"]
    some = {name: foreign.adapter(tmp_path / name, experts, seed, target_modules=targets) for seed, name in enumerate(("red", "blue"))}
    expected = alone(some, folder=experts)
    adapters = ResidentAdapters(base(experts), some, 2)
    for name in some:
        adapters.use(name, some)
    check(adapters, [("red", 3), ("blue", 1), (BASE, 0), ("blue", 3)], expected, 1e-4)


def products(counts, columns, resident=None):
    """The products for adapters with so many rows each, of rank 16 on a module of 256 -> 256."""
    slots = tuple(Slot(f"a{index}", index, 2.0) for index in range(resident or len(counts)))
    names = [f"a{index}" for index, count in counts.items() for _ in range(count)]
    return products_of(Layout(((16, slots),), 512), names, columns, torch.device("cpu"))


def test_all_adapters_of_a_step_share_a_product():
    (product,) = products(dict.fromkeys(range(32), 1), 1)
    assert (product.slots, product.taken, product.valid, product.places) == (slice(0, 32), None, None, None)
    (product,) = products({0: 3, 1: 1}, 1)
    assert product.taken.tolist() == [0, 1, 2, 3, 0, 0]
    assert product.valid.tolist() == [0, 1, 2, 3]


def test_long_prompts_are_not_padded_to_the_rows_of_the_busiest_adapter():
    assert len(products({0: 30, 1: 1, 2: 1, 3: 1}, 64)) == 4
    assert len(products({0: 2, 1: 2, 2: 2, 3: 2}, 64)) == 1


def test_few_of_many_adapters_in_memory_are_read_alone():
    (product,) = products({0: 1, 30: 1, 60: 1}, 1, resident=64)
    assert product.slots.tolist() == [0, 30, 60]
    (product,) = products({0: 1, 3: 1}, 1, resident=64)
    assert product.slots == slice(0, 4)
    assert product.taken.tolist() == [0, 0, 0, 1]


def test_base_rows_have_no_product():
    assert not products_of(Layout(((16, (Slot("a0", 0, 2.0),)),), 512), ["__base__"] * 3, 4, torch.device("cpu"))
