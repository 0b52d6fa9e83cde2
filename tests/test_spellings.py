"""Familiar spellings: numbers with an exponent, yes and no, other names of a key, and the names that other programs give to it."""

import pytest

from pipeline.commands import plan_table
from pipeline.config import peer_keys, yaml_text
from pipeline.config import recipe as recipes
from pipeline.data import inline
from pipeline.errors import RecipeError
from pipeline.models import module_ranks
from pipeline.planning.plan import plan
from pipeline.progress import Terminal
from tests import ROOT
from tests.test_recipe_errors import GOOD, write


def load(text, tmp_path, changes=None):
    return recipes.load(write(tmp_path, recipe=text), changes)


def refused(text, tmp_path, changes=None):
    with pytest.raises(RecipeError) as error:
        load(text, tmp_path, changes).points()
    return str(error.value)


@pytest.mark.parametrize("text", ["2e-4", "2E-4", "+2e-4", "2.e-4", ".2e-3", "0.2e-03", "2.0e-4"])
def test_a_number_with_an_exponent_is_a_number(text, tmp_path):
    assert load(f"{GOOD}finetune: {{learning_rate: {text}}}\n", tmp_path).finetune.learning_rate == 2e-4


def test_a_whole_number_with_an_exponent_is_one(tmp_path):
    loaded = load(f"{GOOD}prepare: {{train_examples: 1e4}}\nfinetune: {{max_steps: 2.5e3, seeds: [1e1, 3]}}\n", tmp_path)
    assert [loaded.prepare.train_examples, loaded.finetune.max_steps, *loaded.finetune.seeds] == [10_000, 2500, 10, 3]
    assert type(loaded.prepare.train_examples) is int
    assert "finetune.rank must be a whole number (it is 0.025)" in refused(f"{GOOD}finetune: {{rank: 2.5e-2}}\n", tmp_path)
    assert "must be a whole number" in refused(f"{GOOD}finetune: {{rank: 1e999999999}}\n", tmp_path)


@pytest.mark.parametrize("lines", ["finetune: {epochs: 0.5}", "sweep: {finetune.epochs: [1, 2.5]}"])
def test_a_part_of_an_epoch_leads_to_its_key(lines, tmp_path):
    assert "For a part of an epoch use finetune.max_steps." in refused(f"{GOOD}{lines}\n", tmp_path)
    assert "max_steps" not in refused(f"{GOOD}{lines.replace('0.5', '-0.5').replace('2.5', '-2.5')}\n", tmp_path)


def test_numbers_with_an_exponent_are_swept_and_equal_ones_are_one(tmp_path):
    loaded = load(f"{GOOD}sweep: {{finetune.learning_rate: [1e-4, 2e-4], finetune.rank: [1e1]}}\n", tmp_path)
    assert loaded.sweep == {"finetune.learning_rate": [1e-4, 2e-4], "finetune.rank": [10]}
    assert [point.finetune.learning_rate for _, point in loaded.points()] == [1e-4, 2e-4]
    assert "more than once" in refused(f"{GOOD}sweep: {{finetune.learning_rate: [2e-4, 0.0002]}}\n", tmp_path)


def test_the_command_line_reads_words_alike(tmp_path):
    changes = {
        "finetune.learning_rate": yaml_text.parse("2e-4"),
        "finetune.dora": yaml_text.parse("on"),
        "question": yaml_text.parse("yes"),
    }
    loaded = load(GOOD, tmp_path, changes)
    assert (loaded.finetune.learning_rate, loaded.finetune.dora, loaded.question) == (2e-4, True, "yes")
    loaded = load(GOOD, tmp_path, {"sweep": yaml_text.parse("{finetune.learning_rate: [1e-4]}")})
    assert loaded.sweep == {"finetune.learning_rate": [1e-4]}


@pytest.mark.parametrize("text", ["'2e-4'", "2e", "e4", "2,5e-4", "1e-4x", "2e-4 each", "1e999", "twelve"])
def test_other_texts_are_no_numbers(text, tmp_path):
    assert "finetune.learning_rate must be " in refused(f"{GOOD}finetune:\n  learning_rate: {text}\n", tmp_path)


@pytest.mark.parametrize(("word", "means"), [("yes", True), ("Off", False), ("ON", True), ("no", False), ("true", True)])
def test_yes_and_no_are_booleans_where_one_is_expected(word, means, tmp_path):
    loaded = load(f"{GOOD}chat: {word}\nfinetune: {{packing: {word}}}\nsweep: {{finetune.dora: [{word}]}}\n", tmp_path)
    assert (loaded.chat, loaded.finetune.packing, loaded.sweep["finetune.dora"]) == (means, means, [means])
    assert "finetune.packing must be true or false" in refused(f"{GOOD}finetune: {{packing: '{word}'}}\n", tmp_path)


TASK = """
name: off
base: 1e5
question: no
tasks:
  - name: on
    data: {hub: a/b, train: yes, heldout: no}
    prompt: '{x}'
    target: '{y}'
    choices: [yes, No, 2e-4, 1e5]
    labels: {y: [no, Yes], no: [on, OFF]}
    defaults: {x: off, yes: no}
    metrics: [accuracy]
"""


def test_where_text_is_expected_the_word_stands_as_it_is_written(tmp_path):
    loaded = load(TASK, tmp_path)
    (task,) = loaded.tasks
    assert (loaded.name, loaded.base, loaded.question, task.name) == ("off", "1e5", "no", "on")
    assert (task.data.train, task.data.heldout) == ("yes", "no")
    assert task.choices == ("yes", "No", "2e-4", "1e5")
    assert task.labels == {"y": ("no", "Yes"), "no": ("on", "OFF")}
    assert task.defaults == {"x": "off", "yes": "no"}
    texts = [loaded.name, task.name, *task.choices, *task.labels, *task.labels["no"], *task.defaults.values()]
    assert {type(text) for text in texts} == {str}


def test_a_word_that_fits_nowhere_is_shown_as_it_is_written(tmp_path):
    assert 'finetune.learning_rate must be a number (it is "yes")' in refused(f"{GOOD}finetune: {{learning_rate: yes}}\n", tmp_path)
    assert 'finetune.dora must be true or false (it is "2e-4")' in refused(f"{GOOD}finetune: {{dora: 2e-4}}\n", tmp_path)


def finetune_params(recipe):
    return [job.params for job in plan(recipe, ask=False) if job.stage == "finetune"]


def test_alpha_is_alpha_per_rank_times_rank_and_moves_no_key():
    quickstart = ROOT / "recipes" / "quickstart.yaml"
    ours = [finetune_params(recipes.load(quickstart, changes)) for changes in ({}, {"finetune.alpha": 32}, {"finetune.alpha": 8})]
    assert ours[0] == ours[1]
    assert {params["alpha_per_rank"] for params in ours[2]} == {0.5}
    assert "alpha" not in ours[2][0]


@pytest.mark.parametrize("rslora", [False, True])
def test_the_adapter_has_the_alpha_that_was_given(rslora, tmp_path):
    params = load(f"{GOOD}finetune: {{alpha: 24, rank: 9, rslora: {rslora}}}\n", tmp_path).finetune.model_dump()
    assert module_ranks.alpha(9, params) == pytest.approx(24)


def test_in_a_sweep_over_ranks_alpha_stays(tmp_path):
    loaded = load(f"{GOOD}finetune: {{alpha: 32}}\nsweep: {{finetune.rank: [8, 64]}}\n", tmp_path)
    assert [point.finetune.alpha_per_rank for _, point in loaded.points()] == [4, 0.5]
    loaded = load(f"{GOOD}finetune: {{alpha_per_rank: 3}}\nsweep: {{finetune.alpha: [8, 64]}}\n", tmp_path)
    assert [point.finetune.alpha_per_rank for _, point in loaded.points()] == [0.5, 4]


def test_alpha_and_alpha_per_rank_in_one_place_contradict_each_other(tmp_path):
    both = "finetune: alpha and alpha_per_rank both set the scale. Keep one of them."
    assert both in refused(f"{GOOD}finetune: {{alpha: 32, alpha_per_rank: 3}}\n", tmp_path)
    assert both in refused(GOOD, tmp_path, {"finetune.alpha": 32, "finetune.alpha_per_rank": 3})


@pytest.mark.parametrize(("parent", "child", "ratio"), [("alpha_per_rank: 1", "alpha: 64", 4), ("alpha: 64", "alpha_per_rank: 1", 1)])
def test_the_later_of_alpha_and_alpha_per_rank_counts(parent, child, ratio, tmp_path):
    write(tmp_path, parent=f"{GOOD}finetune: {{rank: 16, {parent}}}\n")
    assert load(f"extends: parent.yaml\nname: mine\nfinetune: {{{child}}}\n", tmp_path).finetune.alpha_per_rank == ratio
    key, _, value = child.partition(": ")
    assert recipes.load(tmp_path / "parent.yaml", {f"finetune.{key}": int(value)}).finetune.alpha_per_rank == ratio


@pytest.mark.parametrize("name", ["test", "validation", "eval"])
def test_the_test_data_may_be_called_otherwise_and_have_one_name_in_keys(name, tmp_path, monkeypatch):
    for file in ("a", "b"):
        (tmp_path / f"{file}.jsonl").write_text('{"x": 1, "y": 2}\n', "utf-8")
    text = GOOD.replace("hub: a/b, train: train, heldout: test", f"train: a.jsonl, {name}: b.jsonl")
    (task,) = load(text, tmp_path).tasks
    assert (task.data.train, task.data.heldout) == (str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"))
    assert inline.spec(task) == inline.spec(load(text.replace(f"{name}:", "heldout:"), tmp_path).tasks[0])
    monkeypatch.chdir(tmp_path)
    in_folder = GOOD.replace("hub: a/b, train: train, heldout: test", f"folder: ., train: a, {name}: b")
    assert load(in_folder, tmp_path).tasks[0].data.heldout == "b"


def test_test_data_under_two_names(tmp_path):
    message = refused(GOOD.replace("heldout: test", "test: test, validation: dev"), tmp_path)
    assert message.endswith(
        "tasks.q.data.validation is a second name of data.heldout, as is test. Keep the data that base and fine-tuned are compared on; "
        "validation examples are drawn from data.train (prepare.dev_examples)."
    )
    assert "data.test must be text (it is 5)" in refused(GOOD.replace("heldout: test", "test: 5"), tmp_path)
    assert "data.heldout is missing. Add it: " in refused(GOOD.replace(", heldout: test", ""), tmp_path)


PEER_NAMES = """
r lora_r lora_rank lora_alpha lora_dropout target_modules lora_target_modules lr num_train_epochs num_epochs per_device_train_batch_size
micro_batch_size gradient_accumulation_steps max_seq_length max_length sequence_len cutoff_len lr_scheduler_type warmup_ratio warmup_steps
load_in_4bit use_rslora use_dora eval_steps val_set_size sample_packing num_fewshot limit max_samples bf16 optim
""".split()


@pytest.mark.parametrize("name", PEER_NAMES)
def test_a_key_of_another_program_is_answered_with_ours(name, tmp_path):
    in_section = refused(f"{GOOD}finetune: {{{name}: 1}}\n", tmp_path)
    assert f"finetune.{name} is not a key. " in in_section
    assert "nearest" not in in_section
    assert "Did you mean" not in in_section
    at_top = refused(f"{GOOD}{name}: 1\n", tmp_path)
    assert at_top.split("is not a key. ")[1] == in_section.split("is not a key. ")[1]
    typed = refused(GOOD, tmp_path, {name: 1})
    assert typed.split("\n  ")[1] == in_section.split("is not a key. ")[1]


def test_what_a_table_of_names_leads_to_is_a_key():
    allowed = recipes.dotted_keys()
    assert not {peer.key for peer in peer_keys.PEERS.values() if peer.key} - set(allowed)
    assert all(peer.key or peer.note for peer in peer_keys.PEERS.values())
    assert not [name for name in peer_keys.PEERS if name in recipes.Finetune.model_fields]


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("lora_alpha: 32", "Write finetune.alpha: 32."),
        ("lora_r: 8", "Write finetune.rank: 8."),
        ("lr: 2e-4", "Write finetune.learning_rate: 0.0002."),
        ("num_train_epochs: 3.0", "Write finetune.epochs: 3. It is a whole number. "),
        ("num_train_epochs: 0.5", "Here it is finetune.epochs. It is a whole number. "),
        ("per_device_train_batch_size: 4, gradient_accumulation_steps: 8", "Write finetune.batch_examples: 32. "),
        ("micro_batch_size: 4", "Write finetune.batch_examples: 4. "),
        ("gradient_accumulation_steps: 4", "Here it is finetune.batch_examples. "),
        ("target_modules: [q_proj, v_proj]", 'Write finetune.targets: ["q_proj", "v_proj"].'),
        ("lora_target: all", "Write finetune.targets: all-linear."),
        ("lora_target: 'q_proj,v_proj'", 'Write finetune.targets: ["q_proj", "v_proj"].'),
        ("lr_scheduler_type: constant_with_warmup", "Write finetune.schedule: constant."),
        ("lr_scheduler_type: polynomial", "Here it is finetune.schedule. It is cosine, linear or constant"),
        ("warmup_steps: 100", "Here it is finetune.warmup. It is a share of the steps"),
        ("warmup_steps: 100, max_steps: 1000", "Write finetune.warmup: 0.1."),
        ("load_in_4bit: yes", "Write finetune.quantization: nf4. Also under generate"),
        ("load_in_4bit: false", "Write finetune.quantization: none."),
        ("bf16: true", "Write finetune.compute: bf16."),
        ("cutoff_len: 2048", "Write prepare.max_tokens: 2048."),
        ("val_set_size: 0.05", "Here it is prepare.dev_examples. It is a number of examples"),
        ("val_set_size: 200", "Write prepare.dev_examples: 200."),
        ("eval_every: 25", "Write finetune.dev_every: 25."),
        ("val_examples: 200", "Write prepare.dev_examples: 200."),
        ("test_examples: 500", "Write prepare.heldout_examples: 500."),
        ("checkpoint: last", "Write finetune.keep: last."),
        ("batch_size: 32", "Write finetune.batch_examples: 32. "),
        ("early_stopping_patience: 3", "Training runs to its end"),
        ("seed: 42", "Write finetune.seeds: [42]."),
        ("optim: adamw_torch", "There is one optimizer, AdamW"),
        ("gradient_checkpointing: true", "It is not offered."),
    ],
)
def test_the_value_is_converted(line, advice, tmp_path):
    assert f"is not a key. {advice}" in refused(f"{GOOD}finetune: {{{line}}}\n", tmp_path)


def test_a_key_of_a_section_that_stands_outside_of_it(tmp_path):
    assert refused(f"{GOOD}learning_rate: 2e-4\n", tmp_path).endswith("learning_rate is not a key. Did you mean 'finetune.learning_rate'?")


def test_what_is_advised_is_accepted(tmp_path):
    for name, values in {"lora_alpha": 32, "num_epochs": 2, "target_modules": ["q_proj"], "bf16": True, "seed": 1, "limit": 10}.items():
        key, _, value = peer_keys.advice(name, values).removeprefix("Write ").partition(". ")[0].removesuffix(".").partition(": ")
        recipes.load(write(tmp_path, recipe=GOOD), {key: yaml_text.parse(value)}).points()


def test_plan_says_what_a_sweep_over_ranks_does_to_alpha(tmp_path, capsys):
    def planned(**finetune):
        recipe = recipes.load(ROOT / "recipes" / "quickstart_ranks.yaml", {f"finetune.{key}": value for key, value in finetune.items()})
        plan_table.show_notes(Terminal(width=80), recipe)
        return capsys.readouterr().out

    assert planned(alpha=32).startswith("finetune.alpha stays 32 at every rank, so the scale falls as the rank grows;\n")
    assert "scale" not in planned()
