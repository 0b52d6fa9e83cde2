"""Adapters that were trained elsewhere are compared like our own: same answers as a loop of others, and nothing made up about them."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pipeline.commands import estimate, job_estimates, preflight
from pipeline.commands.quick_recipe import Question, variant_name, with_recipe
from pipeline.config import recipe as recipes
from pipeline.errors import ModelError, RecipeError
from pipeline.models import adapter_fit, adapter_source, loading
from pipeline.planning.plan import plan
from pipeline.store.artifact import Store, canonical
from pipeline.store.folders import PredictionsFolder
from tests import foreign, project
from tests.local_hub import LocalHub

LAYOUTS = {
    "plain": {},
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "rank pattern": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 3}},
    "output layer replaced": {"modules_to_save": ["lm_head"]},
    "embedding replaced": {"modules_to_save": ["embed_tokens"]},
    "regular expression": {"target_modules": r".*\.1\..*q_proj"},
    "biases": {"lora_bias": True},
    "some layers": {"layers_to_transform": [1], "target_modules": ["q_proj", "v_proj"]},
}


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, model):
    return foreign.adapter(tmp_path_factory.mktemp("foreign") / "mine", Path(model["folder"]))


def recipe_with(root, model, *variants, **changes):
    """A recipe with variants in a folder of its own; returns its path."""
    path = project.make(root, model["folder"])
    body = json.loads(path.read_text("utf-8")) | {"variants": list(variants)} | changes
    path.write_text(json.dumps(body), "utf-8")
    return path


def report_of(root):
    return json.loads(next((root / "data" / "report").glob("*/report.json")).read_text("utf-8"))


@pytest.mark.parametrize("name", ["output layer replaced", "embedding replaced", "biases"])
@pytest.mark.filterwarnings("ignore")  # of peft, on tied layers
def test_the_base_is_as_before_when_an_adapter_is_removed(name, model, tmp_path):
    """It stays in memory for the next job."""
    import torch

    source = foreign.adapter(tmp_path / "mine", Path(model["folder"]), **LAYOUTS[name])
    adapter_fit.save(adapter_fit.fit(source, model), tmp_path)
    base = loading.load(model, "nf4", "fp32", torch.device("cpu"))
    ids = torch.tensor([[1, 5, 40, 60, 20]])
    with torch.inference_mode():
        before = base(ids).logits
        with loading.adapted(base, tmp_path) as tuned:
            assert not torch.equal(tuned(ids).logits, before)
        assert torch.equal(base(ids).logits, before)
    assert base.get_output_embeddings().weight is base.get_input_embeddings().weight


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.filterwarnings("ignore")  # of peft, on tied layers
def test_what_peft_writes_fits(name, model, tmp_path):
    folder = foreign.adapter(tmp_path / "mine", Path(model["folder"]), **LAYOUTS[name])
    fit = adapter_fit.fit(adapter_source.local_folder(adapter_source.find(str(folder))), model)
    assert fit.targets
    adapter_fit.save(fit, tmp_path)
    again = adapter_fit.fit(tmp_path, model)
    assert again.tensors.keys() == fit.tensors.keys()


TRAINED: dict[str, dict[str, object]] = {
    "dora with rslora": {"use_dora": True, "use_rslora": True},
    "rank pattern": {"rank_pattern": {"q_proj": 2, "down_proj": 16}, "alpha_pattern": {"q_proj": 3}},
    "output layer replaced": {"modules_to_save": ["lm_head"]},
    "embedding replaced": {"modules_to_save": ["embed_tokens"]},
    "of the embedding": {"target_modules": ["embed_tokens", "q_proj", "v_proj"]},
}
"""Options of LoraConfig for adapters that are trained elsewhere."""


@pytest.mark.parametrize(
    "train",
    [
        foreign.trained,
        pytest.param(foreign.trained_by_trl, marks=pytest.mark.slow),
        *(pytest.param(partial(foreign.trained, **options), marks=pytest.mark.slow, id=name) for name, options in TRAINED.items()),
    ],
)
@pytest.mark.filterwarnings("ignore")  # of TRL
def test_answers_and_score_are_those_of_an_independent_loop(train, model, tmp_path):
    """Of an adapter that plain peft trained, and of one by TRL's SFTTrainer; on the test rows too, so that it surely answers otherwise."""
    path = recipe_with(tmp_path, model)
    rows = [json.loads(line) for name in ("train", "test") for line in (tmp_path / f"{name}.jsonl").read_text("utf-8").splitlines()]
    base = Path(model["folder"])
    folder = train(tmp_path / "trained", base, [(row["question"], row["answer"]) for row in rows])
    changes = {"variants": [{"name": "mine", "adapter": str(folder)}], "prepare.heldout_examples": 24}
    assert "finetune" not in project.carry_out(path, tmp_path, changes)
    store = Store(tmp_path / "data", tmp_path / "checkpoints")
    [tuned] = [artifact for artifact in store.all() if artifact.stage == "generate" and "adapter" in artifact.inputs]
    heldout = {example.id: example for example in project.heldout(store)}
    rows = PredictionsFolder(tuned.path).predictions()
    expected = foreign.answers(base, folder, [heldout[row.example].prompt for row in rows], 6)
    assert [row.text for row in rows] == expected
    right = [text.strip() == heldout[row.example].target for row, text in zip(rows, expected, strict=True)]
    [cell] = report_of(tmp_path)["cells"]
    assert sum(right) / len(right) == cell["comparisons"][0]["tuned"]
    assert cell["comparisons"][0]["tuned"] > cell["comparisons"][0]["base"]


def test_modules_that_an_adapter_leaves_alone_are_counted_and_named(model, tmp_path):
    """Of some zero B matrices the report warns; all are refused (test_foreign_adapters)."""
    from safetensors.torch import load_file, save_file

    folder = foreign.adapter(tmp_path / "mine", Path(model["folder"]))
    weights = load_file(folder / "adapter_model.safetensors")
    dead = [name for name in sorted(weights) if "lora_B" in name and ".0.self_attn" in name]
    save_file({name: value * (name not in dead) for name, value in weights.items()}, folder / "adapter_model.safetensors")
    project.carry_out(recipe_with(tmp_path / "p", model, {"name": "mine", "adapter": str(folder)}), tmp_path / "p")
    report = report_of(tmp_path / "p")
    layer = "model.layers.0.self_attn"
    warning = "4 of 14 B matrices of the adapter are zero, so these modules are those of the base: "
    names = f"{layer}.k_proj, {layer}.o_proj, {layer}.q_proj and 1 more."
    assert [line for line in report["warnings"] if warning + names in line]
    [row] = report["cells"][0]["liveness"]
    assert (row["alive"], row["zero_tensors"]) == (True, 0)


@pytest.mark.parametrize("kind", ["merged", "full"])
def test_answers_and_score_of_a_whole_model_are_those_of_an_independent_loop(kind, model, tmp_path):
    """Of a model into which a trained adapter was merged, and of a fine-tune of all weights."""
    path = recipe_with(tmp_path, model)
    train = list(map(json.loads, (tmp_path / "train.jsonl").read_text("utf-8").splitlines()))
    base, rows = Path(model["folder"]), [(row["question"], row["answer"]) for row in train]
    if kind == "merged":
        folder = foreign.merged(tmp_path / "mine", base, foreign.trained(tmp_path / "trained", base, rows))
    else:
        folder = foreign.fully_trained(tmp_path / "mine", base, rows)
    changes = {"variants": [{"name": "mine", "model": str(folder)}], "prepare.heldout_examples": 24}
    assert "finetune" not in project.carry_out(path, tmp_path, changes)
    store = Store(tmp_path / "data", tmp_path / "checkpoints")
    by_arm = {"model" in artifact.inputs: artifact for artifact in store.all() if artifact.stage == "generate"}
    heldout = {example.id: example for example in project.heldout(store)}
    prompts = [example.prompt for example in heldout.values()]
    assert by_arm[True].facts["prompt_tokens"] == by_arm[False].facts["prompt_tokens"]
    [cell] = report_of(tmp_path)["cells"]
    for is_tuned, place, score in ((False, base, cell["comparisons"][0]["base"]), (True, folder, cell["comparisons"][0]["tuned"])):
        rows = PredictionsFolder(by_arm[is_tuned].path).predictions()
        expected = foreign.answers(place, None, prompts, 6)
        assert [row.text for row in rows] == expected
        assert score == sum(text.strip() == heldout[row.example].target for row, text in zip(rows, expected, strict=True)) / len(rows)
    assert cell["comparisons"][0]["tuned"] > cell["comparisons"][0]["base"]


def test_every_measure_of_a_whole_model(model, tmp_path):
    folder = foreign.model(tmp_path / "mine", Path(model["folder"]))
    compare = {
        "arms": ["base", "base_constrained", "tuned", "tuned_constrained", "merged", "merged_original", "unrelated"],
        "resamples": 200,
        "speed_prompts": 2,
    }
    general = {"suites": ["paragraphs", "shop_sentiment"], "examples": 10}
    path = recipe_with(tmp_path, model, {"name": "mine", "model": str(folder)}, compare=compare, general=general)
    stages = project.carry_out(path, tmp_path)
    assert (stages.count("import_model"), stages.count("general_loss"), stages.count("speed")) == (1, 1, 1)
    report = report_of(tmp_path)
    [cell] = report["cells"]
    assert {row["arm"] for row in cell["absent"]} == {"merged", "merged_original", "unrelated"}
    assert [row["suite"] for row in cell["forgetting"]] == ["paragraphs", "shop_sentiment"]
    assert cell["forgetting"][0]["kl"]["mean"] > 0
    assert (cell["fine_tune"], cell["variant"], cell["rank"]) == ("model", "mine", 0)
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    assert cell["speed"]["adapter_bytes"] == weights
    [row] = report["adapters"].values()
    assert (row["imported"]["kind"], row["imported"]["source"], row["imported"]["rank"]) == ("model", "mine", [])
    assert report["setup"]["imported"] == ["mine (mine, a whole model)"]
    assert [line for line in report["warnings"] if line.startswith("mine is quantized here as the base is, which can erase")]
    page = next((tmp_path / "data" / "report").glob("*/report.html")).read_text("utf-8")
    for words in ("vs. a model fine-tuned from it", "<td>whole model</td>", "unknown: trained elsewhere", "Fine-tuned model "):
        assert words in page
    assert str(tmp_path) not in page
    assert not list((tmp_path / "data" / "report").glob("*/cards"))


def test_a_whole_model_is_measured_with_its_base_in_memory(model, tmp_path):
    path = recipe_with(tmp_path, model, {"name": "mine", "model": "someone/mine"}, base="mistral-7b")
    body = json.loads(path.read_text("utf-8"))
    body |= {"generate": {}, "general": {"suites": ["paragraphs"]}, "compare": {"speed_prompts": 0, "relevance_examples": 0}}
    path.write_text(json.dumps(body), "utf-8")
    jobs = {job.stage: job for job in plan(recipes.load(path), ask=False) if "model" in dict(job.inputs)}
    answering, measuring = jobs["generate"], jobs["general_loss"]
    shape = job_estimates.shape_of(canonical(answering.params["model"]))
    one = estimate.weight_memory(shape, estimate.NF4)
    assert preflight.weight_bytes(answering, {}) == one
    assert preflight.weight_bytes(measuring, {}) == 2 * one
    work = job_estimates.work_of(shape, measuring, {})
    alone = replace(work, models=1)
    assert estimate.min_bytes(shape, work) == estimate.min_bytes(shape, alone) + one
    assert answering.params["max_new_tokens"] == job_estimates.work_of(shape, answering, {}).limit
    assert [spec["repo"] for spec in preflight.bases(plan(recipes.load(path), ask=False))][-1] == "someone/mine"


def test_nothing_is_made_up_about_a_training_elsewhere(model, adapter, tmp_path):
    project.carry_out(recipe_with(tmp_path, model, {"name": "mine", "adapter": str(adapter)}, cost={"gpu_hour": 2.0}), tmp_path)
    report = report_of(tmp_path)
    [row] = report["adapters"].values()
    assert (row["steps"], row["seconds"], row["curve"]["train"]) == (None, None, [])
    assert (row["imported"]["source"], row["imported"]["rank"]) == ("mine", [4])
    assert (report["setup"]["adapters"], report["setup"]["imported"]) == (0, ["mine (mine)"])
    assert [warning for warning in report["warnings"] if "unknown what mine was trained on" in warning]
    page = next((tmp_path / "data" / "report").glob("*/report.html")).read_text("utf-8")
    assert "unknown: trained elsewhere" in page
    [card] = (tmp_path / "data" / "report").glob("*/cards/**/*.md")
    assert "trained elsewhere" in card.read_text("utf-8")
    assert str(tmp_path) not in card.read_text("utf-8")


def test_several_variants_are_points_beside_an_adapter_that_is_trained_here(model, adapter, tmp_path):
    path = recipe_with(tmp_path, model, "trained here", {"name": "mine", "adapter": str(adapter)})
    jobs = plan(recipes.load(path))
    stages = [job.stage for job in jobs]
    assert (stages.count("finetune"), stages.count("import_adapter"), stages.count("generate")) == (1, 1, 3)  # base once
    assert [cell["point"] for cell in jobs[-1].params["cells"]] == [{"variant": "trained here"}, {"variant": "mine"}]
    alone = plan(recipes.load(recipe_with(tmp_path / "alone", model)))
    assert {job.params_json for job in alone if job.stage == "finetune"} == {job.params_json for job in jobs if job.stage == "finetune"}


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ({"name": "x"}, "x must be one of adapter, adapters, predictions, model and endpoint"),
        ({"name": "x", "adapter": "a", "model": "m"}, "x must be one of adapter, adapters, predictions, model and endpoint"),
        ({"name": "x", "adapter": "a", "adapters": ["b"]}, "x must be one of adapter, adapters, predictions, model and endpoint"),
        ({"name": "x", "adapters": ["a", "b", "a"]}, "x names a twice, and equal adapters are one training run. Leave one out"),
        ({"name": "x", "adapters": []}, "adapters must (hold|have) at least|adapters"),
        ({"name": "x", "adapters": ["a", ""]}, r"variants.x.adapters\[1\] must be text that is not empty"),
        ({"name": "x", "model": ""}, "String should have at least 1 character|must not be empty|empty"),
        ({"name": "x", "endpoint": "http://a"}, "x has an endpoint and no model. Add model: and its name there"),
        ({"name": "x", "endpoint": "http://a", "model": "m", "adapter": "a"}, "x must be one of"),
        ({"name": "x", "endpoint": "", "model": "m"}, "variants.x.endpoint must be text that is not empty"),
        ({"name": "x", "adapter": "a", "key_env": "K"}, "x has key_env and no endpoint. Add endpoint: and its address, or leave it out"),
        ({"name": "x", "model": "m", "concurrency": 2}, "x has concurrency and no endpoint"),
        ({"name": "x", "endpoint": "http://a", "model": "m", "concurrency": 0}, "variants.x.concurrency must be"),
        ("trained there", "trained here"),
    ],
)
def test_a_variant_is_one_thing(variant, words, model, tmp_path):
    with pytest.raises(RecipeError, match=words) as error:
        recipes.load(recipe_with(tmp_path, model, variant))
    assert "Value error" not in str(error.value)
    assert ("must be 'trained here' or" in str(error.value)) == isinstance(variant, str)  # one branch of the union is enough to name


def test_a_training_key_is_not_swept_over_variants(model, tmp_path):
    with pytest.raises(RecipeError, match="rank changes no variant"):
        recipes.load(recipe_with(tmp_path, model, {"name": "x", "adapter": "a"}, sweep={"finetune.rank": [1, 2]}))


def test_there_must_be_an_adapter(model, tmp_path):
    with pytest.raises(ModelError, match="there is no adapter"):
        plan(recipes.load(recipe_with(tmp_path, model, {"name": "x", "adapter": "./gone"})))


def test_rows_that_it_was_trained_on_are_searched_for_test_prompts(model, adapter, tmp_path):
    path = recipe_with(tmp_path, model)
    rows = (tmp_path / "test.jsonl").read_text("utf-8").splitlines()
    (tmp_path / "theirs.jsonl").write_text("\n".join([*rows[:3], rows[0], (tmp_path / "train.jsonl").read_text("utf-8")]), "utf-8")
    variants = [{"name": "mine", "adapter": str(adapter), "train": str(tmp_path / "theirs.jsonl")}]
    project.carry_out(path, tmp_path, {"variants": variants, "prepare.heldout_examples": 24})
    [warning] = [line for line in report_of(tmp_path)["warnings"] if "training rows" in line]
    assert "mine (mine) hold 4 exact and 0 near duplicates of 3 of the 24 test prompts" in warning
    variants[0]["train"] = str(tmp_path / "train.jsonl")
    project.carry_out(path, tmp_path, {"variants": variants, "prepare.heldout_examples": 24})
    latest = max((tmp_path / "data" / "report").glob("*/report.json"), key=lambda file: file.stat().st_mtime_ns)
    assert not [line for line in json.loads(latest.read_text("utf-8"))["warnings"] if "train" in line and "mine" in line]


def test_no_training_rows_are_needed(model, adapter, tmp_path):
    path = recipe_with(tmp_path, model, {"name": "mine", "adapter": str(adapter)}, compare={"resamples": 200, "speed_prompts": 2})
    body = json.loads(path.read_text("utf-8"))
    del body["tasks"][0]["data"]["train"]
    path.write_text(json.dumps(body), "utf-8")
    stages = project.carry_out(path, tmp_path)
    assert stages.count("prepare") == 1
    [cell] = report_of(tmp_path)["cells"]
    assert [arm["name"] for arm in cell["arms"]] == ["base", "base_constrained", "base_constrained_raw", "tuned"]
    assert {row["arm"]: row["why"] for row in cell["absent"]} == dict.fromkeys(
        ("base_fewshot", "constant"), "the recipe names no training rows (data.train)"
    )
    with pytest.raises(RecipeError, match="train is missing"):
        recipes.load(path, {"variants": []})


@pytest.mark.slow
def test_an_adapter_of_every_task_comes_from_the_hub(model, adapter, tmp_path):
    """As predibase has them: a repository for each task, named as the task; fetched at its commit, without pickles."""
    repository = tmp_path / "hub" / "models" / "predibase" / "pets"
    shutil.copytree(adapter, repository)
    (repository / "training_args.bin").write_bytes(b"pickle")
    path = recipe_with(tmp_path, model, {"name": "predibase", "adapter": "predibase/{task}"})
    code = (
        f"import sys; from pathlib import Path; from tests import project; project.carry_out(Path({str(path)!r}), Path({str(tmp_path)!r}))"
    )
    with LocalHub(tmp_path / "hub") as hub:
        environment = os.environ | hub.environ(tmp_path / "home") | {"HF_DATASETS_OFFLINE": "1"}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, cwd=Path(__file__).parents[1], capture_output=True)
    assert not [call for call in hub.calls if "training_args" in call]
    [row] = report_of(tmp_path)["adapters"].values()
    assert row["imported"]["source"].startswith("predibase/pets@")


def test_a_comparison_without_a_recipe_writes_one(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project.make(tmp_path, model["folder"])
    (tmp_path / "compare-test.yaml").write_text("mine\n", "utf-8")
    question = Question(model["folder"], ["out/checkpoint-20", "owner/mine@main"], ["other/mine", "out/merged"], "test.jsonl")
    question = replace(question, metric="accuracy")
    [path, change] = with_recipe(["compare.resamples=200"], question)
    assert (path, change) == ("compare-test-2.yaml", "compare.resamples=200")
    assert with_recipe([], question) == [path]
    assert with_recipe([], replace(question, metric="token_f1")) == [path]  # a changed call with the same files
    assert recipes.load(Path(path)).tasks[0].metrics == ("token_f1",)
    assert with_recipe([], question) == [path]
    other = replace(question, adapter=["out/checkpoint-20"])
    assert with_recipe([], other) == ["compare-test-3.yaml"]
    edited = Path(path).read_text("utf-8").replace("accuracy", "exact_match")
    Path(path).write_text(edited, "utf-8")
    assert with_recipe([], question) == ["compare-test-4.yaml"]
    assert Path(path).read_text("utf-8") == edited
    Path(path).write_text(edited.replace("exact_match", "accuracy"), "utf-8")
    assert (tmp_path / "compare-test.yaml").read_text("utf-8") == "mine\n"
    recipe = recipes.load(Path(path))
    assert recipe.variant_names == ["out-checkpoint-20", "mine", "mine-3", "merged"]
    assert [(entry.adapter, entry.model) for entry in recipe.variants][1:3] == [("owner/mine@main", None), (None, "other/mine")]
    assert (recipe.tasks[0].name, recipe.tasks[0].metrics, recipe.tasks[0].data.train) == ("test", ("accuracy",), None)
    with pytest.raises(RecipeError, match="without a recipe --base and --adapter or --model must be there"):
        with_recipe([], Question(data="test.jsonl"))
    with pytest.raises(RecipeError, match=r"is a recipe, and --.* is for a comparison without one"):
        with_recipe(["pets.yaml"], question)
    with pytest.raises(RecipeError, match="there is no recipe"):
        with_recipe([], Question())


def test_columns_become_prompts_without_a_recipe(model, tmp_path, monkeypatch):
    """Templates on the command line: a shell leaves \\n as two letters."""
    monkeypatch.chdir(tmp_path)
    project.make(tmp_path, model["folder"])
    options = {"metric": "accuracy", "prompt": "Pet: {text}\\nClass:", "target": "{label}", "choices": "cat, dog"}
    question = Question(model["folder"], ["out/checkpoint-20"], None, "test.jsonl", **options)
    [path] = with_recipe([], question)
    [task] = recipes.load(Path(path)).tasks
    assert (task.prompt, task.target, task.answer, task.choices) == ("Pet: {text}\nClass:", "{label}", "choice", ("cat", "dog"))
    with_recipe([], replace(question, parser="first_line"))
    assert recipes.load(Path(path)).tasks[0].answer == "first_line"
    with pytest.raises(RecipeError, match=r"pets\.yaml is a recipe, and --choices is for a comparison without one"):
        with_recipe(["pets.yaml"], Question(choices="a,b"))


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("checkpoints/tiny--pets--r8-s0--0123456789ab", "pets--r8-s0"),
        ("checkpoints/other--pets--r8-s0--0123456789ab", "other--pets--r8-s0"),
        ("out/tiny--mine", "tiny--mine"),
        ("out/tiny--mine/checkpoint-300", "tiny--mine-checkpoint-300"),
    ],
)
def test_a_variant_has_a_short_name(place, name):
    assert variant_name(place, "models/tiny") == name
