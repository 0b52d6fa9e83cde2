"""What would stop a run late is said before it starts."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from pipeline.commands import call as calls
from pipeline.commands import preflight, reachable
from pipeline.commands.call import Call, endpoint_settings
from pipeline.config import recipe as recipes
from pipeline.data import manual_files, task
from pipeline.errors import MachineError, RecipeError
from pipeline.machine import Machine
from pipeline.planning.job import job
from pipeline.planning.plan import plan
from pipeline.runner import Site
from pipeline.sandbox import sandbox
from pipeline.store.artifact import Artifact, Store
from tests import no_namespaces
from tests.local_hub import LocalHub

ROOT = Path(__file__).parents[1]

KNOWN = {"name": "gpt", "endpoint": "http://127.0.0.1:9/v1", "model": "m", "key_env": "LORALIFT_NO_KEY"}


@pytest.fixture
def start(tmp_path, model, monkeypatch):
    """Starts a recipe with these keys, as the verbs do."""
    monkeypatch.setenv("LORALIFT_SOURCES", str(tmp_path / "sources"))

    def begin(wanted=frozenset({"report"}), **keys):
        (tmp_path / "r.yaml").write_text(json.dumps({"name": "r", "base": model["folder"], "tasks": ["shop_sentiment"], **keys}))
        recipe = recipes.load(tmp_path / "r.yaml")
        site = Site(Store(tmp_path / "data", tmp_path / "checkpoints"), Machine(device="cpu", endpoints=endpoint_settings(recipe)))
        calls.carry_out(Call(recipe, plan(recipe), site), set(wanted))

    return begin


def test_every_file_and_key_that_is_missing_is_said_before_anything_is_made(start, tmp_path):
    with pytest.raises(MachineError) as error:
        start(tasks=["shop_sentiment", "covid", "legal"], references=[KNOWN])
    lines = str(error.value).splitlines()
    assert [line.strip().partition(":")[0] for line in lines] == ["covid", "covid", "legal", "reference m", "Or leave these tasks out"]
    assert "Corona_NLP_test.csv" in lines[0]
    assert "LORALIFT_NO_KEY is not set" in lines[3]
    assert lines[4].strip() == "Or leave these tasks out: 'tasks=[shop_sentiment]'"
    assert not list(tmp_path.glob("data/*/*"))


def test_a_split_is_missing_only_if_none_of_its_sources_is_within_reach(tmp_path, model):
    tasks = ["jigsaw", "webnlg", "tldr_headline_gen", "legal"]
    for name in tasks:
        for source in (*task.find(name).train, *task.find(name).heldout):
            for part in (source, *source.parts):
                if part.hub:
                    (tmp_path / "hub" / "datasets" / part.hub).mkdir(parents=True, exist_ok=True)
                    (tmp_path / "hub" / "datasets" / f"{part.hub}@{quote(part.revision or 'main', safe='')}").mkdir(exist_ok=True)
    status, error, jobs = started(tmp_path, "prepare", base=model["folder"], tasks=tasks)
    assert (status, jobs) == (2, 0)
    assert [line.strip().partition(":")[0] for line in error.splitlines()] == ["error", "Or leave these tasks out"]
    assert error.startswith("error: legal: there is no ")
    assert error.strip().endswith("'tasks=[jigsaw, webnlg, tldr_headline_gen]'")


def started(tmp_path, verb, **keys):
    """Exit status, standard error and the number of jobs that began, with the hub in tmp_path / "hub" and nothing in the cache."""
    (tmp_path / "hub").mkdir(exist_ok=True)
    (tmp_path / "r.yaml").write_text(json.dumps({"name": "r", **keys}))
    words = [sys.executable, "-m", "pipeline", verb, str(tmp_path / "r.yaml"), "--store", str(tmp_path / "store")]
    with LocalHub(tmp_path / "hub") as hub:
        environ = {**os.environ, **hub.environ(tmp_path / "home"), "LORALIFT_SOURCES": str(tmp_path / "sources")}
        process = subprocess.run(words, env=environ, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)
    return process.returncode, process.stderr, process.stdout.count("[1/")


def test_every_data_set_and_base_that_cannot_be_fetched_is_named_before_anything_is_made(tmp_path, model):
    shutil.copytree(model["folder"], tmp_path / "hub" / "models" / "org" / "gated")
    (tmp_path / "hub" / "models" / "org" / "gated" / ".gated").write_text("secret")
    for source in (*task.find("dbpedia").train, *task.find("dbpedia").heldout):
        repo = tmp_path / "hub" / "datasets" / source.hub
        for folder in (repo, repo.with_name(f"{repo.name}@{source.revision}")):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ".gated").write_text("secret")
    status, error, jobs = started(tmp_path, "finetune", base="org/gated", tasks=["shop_sentiment", "dbpedia", "boolq"])
    assert (status, jobs) == (2, 0)
    lines = [" ".join(line.split()) for line in error.splitlines()]
    gated = "is gated, and your access is not granted. Accept its terms at"
    assert lines[0].startswith(f"error: dbpedia: the data set fancyzhx/dbpedia_14 {gated}")
    assert lines[1].startswith("boolq: there is no data set ")
    assert lines[-2].startswith(f"the model org/gated {gated}")
    assert lines[-1] == "Or leave these tasks out: 'tasks=[shop_sentiment]'"


def test_without_the_network_what_is_not_in_the_cache_is_missing(start, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path))
    with pytest.raises(
        MachineError, match=r"boolq: the data set .* is not in the cache, and HF_HUB_OFFLINE is set. Run once with the network"
    ):
        start(tasks=["boolq"])
    one = task.find("boolq").train[0]
    (tmp_path / "datasets" / f"{one.hub.partition('/')[0]}___any").mkdir(parents=True)
    assert not reachable.data_obstacles((one,), reachable.Hub(True))
    without_owner = task.Source(hub="squad")
    assert reachable.data_obstacles((without_owner,), reachable.Hub(True))
    (tmp_path / "datasets" / "squad").mkdir()
    assert not reachable.data_obstacles((without_owner,), reachable.Hub(True))


def test_weights_that_a_stopped_fetch_left_in_part_are_not_here(tmp_path):
    assert not reachable.has_weights(None)
    (tmp_path / "a.safetensors").touch()
    assert reachable.has_weights(tmp_path)
    (tmp_path / reachable.INDEX).write_text(json.dumps({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}))
    assert not reachable.has_weights(tmp_path)
    (tmp_path / "b.safetensors").touch()
    assert reachable.has_weights(tmp_path)


def test_a_local_file_that_is_gone_is_missing(tmp_path):
    near = tmp_path / "rows.jsonl"
    near.touch()
    (obstacle,) = reachable.data_obstacles((task.Source(path=str(tmp_path / "row.jsonl")),), reachable.Hub(True))
    assert obstacle == f"there is no file {tmp_path / 'row.jsonl'}. Did you mean '{near}'?"
    assert not reachable.data_obstacles((task.Source(path=str(near)),), reachable.Hub(True))


def test_cuda_is_looked_for_first(start):
    with pytest.raises(MachineError, match="the recipe says needs_cuda, and this machine has no CUDA device"):
        start(needs_cuda=True, tasks=["legal"])


def test_cuda_is_no_matter_where_no_job_needs_a_gpu(seen):
    seen({"prepare"}, needs_cuda=True)
    with pytest.raises(MachineError, match="no CUDA device"):
        seen({"finetune"}, needs_cuda=True)


def test_an_endpoint_that_cannot_be_asked_is_refused(seen, monkeypatch):
    elsewhere = {**KNOWN, "endpoint": "https://api.example.com/v1", "key_env": ""}
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MachineError, match=r"HF_HUB_OFFLINE is set, and https://api\.example\.com/v1 is not on this machine"):
        seen({"reference"}, references=[elsewhere])
    seen({"reference"}, references=[{**KNOWN, "key_env": ""}])


def test_only_tasks_that_a_recipe_can_leave_out_are_left_out(model):
    def remedy(*refused, **keys):
        recipe = recipes.Recipe.model_validate({"name": "r", "base": model["folder"], **keys})
        return preflight.without_tasks(recipe, set(refused))

    inline = {"name": "mine", "data": {"train": "a.csv", "heldout": "b.csv"}, "prompt": "{a}", "target": "{b}"}
    assert remedy("covid", tasks=["boolq", "covid"]) == "Or leave these tasks out: 'tasks=[boolq]'"
    assert remedy("covid", tasks=["boolq"]) == ""  # a general suite
    assert remedy("covid", tasks=["covid"]) == ""
    assert remedy("covid", tasks=["covid", inline]) == ""  # no line of a shell holds an inline task


def test_a_file_that_is_there_is_not_missing(start, tmp_path):
    place = manual_files.folder() / "legal"
    place.mkdir(parents=True)
    rows = "clause_text,clause_type,split\n" + "".join(f"text {n},kind-{n % 2},{(0, 2)[n % 2]}\n" for n in range(40))
    (place / "legal.csv").write_text(rows)
    with pytest.raises(MachineError) as error:
        start(tasks=["legal", "covid"])
    assert "legal:" not in str(error.value)


GRADED = {"tasks": ["shop_notice"], "general": {"suites": []}}
"""Scores between 0 and 1: tested by randomization."""
JUDGED = {"arms": ["base", "base_fewshot", "tuned"], "confidence": 0.99}
"""Two claims, of which the first needs a p of 0.005."""


def test_claims_that_no_resampling_can_show_are_refused_before_anything_is_made(start, tmp_path):
    with pytest.raises(RecipeError) as error:
        start(**GRADED, compare={**JUDGED, "resamples": 198}, references=[KNOWN])
    problem, remedy = str(error.value).splitlines()
    assert problem == (
        "r: compare.resamples=198: 2 of 2 tests are by randomization, and their smallest p, corrected (holm), is 2/199 = 0.0101, "
        "above 0.01: none of them can be significant."
    )
    assert remedy.strip() == "Set compare.resamples=199 or more."
    assert not list(tmp_path.glob("data/*/*"))


@pytest.mark.parametrize(("resamples", "more"), [(199, {}), (198, {"correction": "none"}), (198, {"arms": ["base", "tuned"]})])
def test_claims_that_can_be_shown_are_not_refused(resamples, more, start):
    with pytest.raises(MachineError, match="LORALIFT_NO_KEY is not set"):  # what is looked for next
        start(**GRADED, compare={**JUDGED, "resamples": resamples, **more}, references=[KNOWN])


def test_resamples_and_keys_are_no_matter_where_nothing_needs_them(seen):
    seen({"finetune"}, **GRADED, compare={**JUDGED, "resamples": 100}, references=[KNOWN])
    with pytest.raises(MachineError, match="LORALIFT_NO_KEY is not set"):
        seen({"reference"}, **GRADED, compare={**JUDGED, "resamples": 100}, references=[KNOWN])


@pytest.fixture
def seen(tmp_path, model):
    """Looks at what these stages of a recipe with these keys need, and runs nothing."""

    def look(wanted, store=tmp_path, **keys):
        (tmp_path / "r.yaml").write_text(json.dumps({"name": "r", "base": model["folder"], "tasks": ["shop_sentiment"], **keys}))
        recipe = recipes.load(tmp_path / "r.yaml")
        site = Site(Store(store / "data", store / "checkpoints"), Machine(device="cpu", endpoints=endpoint_settings(recipe)))
        preflight.check(recipe, dict.fromkeys(calls.with_dependencies(plan(recipe), wanted)), site)

    return look


def test_a_store_that_cannot_be_written_is_refused(seen, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"cannot write to .*/file/data: a part .* is not a folder. Choose another folder with --store."):
        seen({"prepare"}, store=tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(MachineError, match="link is a link to a folder that does not exist"):
        seen({"prepare"}, store=tmp_path / "link")
    (tmp_path / "link").unlink()
    seen({"prepare"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "r.yaml"]  # looking leaves nothing behind


def test_a_read_only_store_and_a_small_disk_are_refused(small_disk, seen):
    with pytest.raises(MachineError, match=r"disk: the run writes up to [0-9.]+ MB, and 0\.4 MB are free\. Free some space"):
        seen({"finetune"}, store=small_disk)
    seen({"prepare"}, store=small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(MachineError, match=r"the disk is read-only. Choose another folder with --store."):
        seen({"prepare"}, store=small_disk)


NO_NAMESPACES = (
    no_namespaces.SETUP
    + """
from pathlib import Path
from pipeline.commands import preflight
from pipeline.config import recipe as recipes
from pipeline.data import inline
from pipeline.errors import MachineError
from pipeline.machine import Machine
from pipeline.planning.job import job
from pipeline.runner import Site
from pipeline.store.artifact import Store
for task, general in [("mbpp", []), ("boolq", ["mbpp"]), ("boolq", [])]:
    params = {"task": inline.spec(task), "general": {name: inline.spec(name) for name in general}}
    for unsafe in (False, True):
        site = Site(Store(Path("data"), Path("checkpoints")), Machine(device="cpu", unsafe_code=unsafe))
        try:
            preflight.check(recipes.load(Path("recipes/quickstart.yaml")), {job("compare", "x", params): None}, site)
            print("nothing")
        except MachineError as error:
            print(error.problem)
"""
)


@pytest.mark.skipif(bool(sandbox.available()), reason=f"no sandbox on this machine: {sandbox.available()}")
def test_a_metric_that_runs_code_is_refused_where_there_is_no_sandbox():
    process = subprocess.run([sys.executable, "-c", NO_NAMESPACES], cwd=ROOT, capture_output=True, text=True, check=True)
    line = "mbpp: pass_at_1 runs generated code, and this machine has no sandbox (No space left on device (unshare)). Allow user namespaces"
    alone, alone_unsafe, general, general_unsafe, *without = process.stdout.splitlines()
    assert alone.startswith(line)
    assert general.startswith(line)
    assert {alone_unsafe, general_unsafe, *without} == {"nothing"}


def test_a_job_that_does_not_fit_on_a_device_is_refused(tmp_path):
    (tmp_path / "r.yaml").write_text(json.dumps({"name": "r", "base": "llama-2-7b", "tasks": ["shop_sentiment"]}))
    jobs = plan(recipes.load(tmp_path / "r.yaml"), ask=False)
    weights = 4.5e9  # 3.9 of 6.7 billion in NF4 and the rest in bf16, 0.6 of the adapter; what else is needed the examples decide
    assert not list(preflight.small_devices(jobs, {}, {"cuda:0": weights}))
    assert not list(preflight.small_devices(jobs, {}, {}))
    small = [line for line in preflight.small_devices(jobs, {}, {"cuda:0": 24e9, "cuda:1": 3e9}) if line.startswith("finetune")]
    assert len(small) == 1
    assert "it needs about 4.5 GB of memory, and cuda:1 has 3.0 GB. Take a smaller base" in small[0]
    train = next(source for job in jobs if job.stage == "finetune" for name, source in job.inputs if name == "train")
    tokens = {"prompt": {"mean": 300, "max": 1800}, "target": {"mean": 10, "max": 20}}
    prepared = Artifact(tmp_path, "prepare", "", "", 1, train.params, {}, {}, {"examples": 1000, "dev": 0, "tokens": tokens}, {})
    assert [line for line in preflight.small_devices(jobs, {train: prepared}, {"cuda:0": 6e9}) if line.startswith("finetune")]


def test_no_device_is_looked_at_for_jobs_that_need_none():
    assert not preflight.device_bytes(Machine("cpu"), [job("finetune", "x", {})])
    assert not preflight.device_bytes(Machine("cuda"), [job("prepare", "x", {})])


def test_the_memory_of_the_devices_is_looked_at_before_anything_is_made(seen, monkeypatch):
    monkeypatch.setattr(preflight, "device_bytes", lambda *_: {"cuda:0": 1000})
    with pytest.raises(MachineError, match=r"finetune base--shop_sentiment.*: it needs about [0-9.]+ MB of memory, and cuda:0 has 0\.0 MB"):
        seen({"finetune"}, finetune={"compute": "bf16"})


def test_a_base_on_the_hub_that_is_quantized_already_is_refused_before_anything_is_made(tmp_path, model):
    folder = tmp_path / "hub" / "models" / "org" / "small"
    shutil.copytree(model["folder"], folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "gptq", "bits": 4}}))
    status, error, jobs = started(tmp_path, "finetune", base="org/small", tasks=["shop_sentiment"])
    assert (status, jobs) == (2, 0)
    assert "the model org/small is quantized already (gptq)" in " ".join(error.split())
    assert not list((tmp_path / "home").rglob("*.safetensors"))


def train_job(tmp_path, base, **finetune):
    (tmp_path / "r.yaml").write_text(json.dumps({"name": "r", "base": base, "tasks": ["shop_sentiment"], "finetune": finetune}))
    return [job for job in plan(recipes.load(tmp_path / "r.yaml"), ask=False) if job.stage == "finetune"]


@pytest.mark.parametrize("keys", [{}, {"compute": "fp32"}, {"dora": True}, {"targets": "qv"}, {"quantization": "none"}])
def test_a_rank_that_no_memory_holds_is_refused_on_the_cpu_too(keys, tmp_path, seen, model):
    with pytest.raises(MachineError) as error:
        seen({"finetune"}, finetune={"rank": 10**9, **keys}, base=model["folder"])
    assert "Lower finetune.rank (it is 1,000,000,000), or take a smaller base" in str(error.value)
    seen({"finetune"}, finetune={"rank": 16, **keys}, base=model["folder"])
    (job,) = train_job(tmp_path, "llama-2-7b", rank=16, **keys)
    assert list(preflight.small_memory([job], {}, 3e9))
    assert not list(preflight.small_memory([job], {}, 32e9))


def test_passes_that_no_memory_holds_are_refused_on_the_cpu(tmp_path, monkeypatch):
    (job,) = train_job(tmp_path, "llama-2-7b", batch_examples=64)
    small = Machine("cpu", 4096)
    large = Machine("cpu", 10**9)
    assert not list(preflight.large_passes([job], {}, 4096, 64e9))
    (line,) = preflight.large_passes([job], {}, 10**9, 64e9)
    assert re.search(
        r"finetune .*: with --tokens 1,000,000,000 it needs about [0-9.]+ GB of memory, and 64.0 GB are free\. Lower --tokens\.", line
    )
    (weights,) = preflight.large_passes([job], {}, 10**9, 3e9)
    assert "a smaller base" in weights  # no smaller --tokens would help
    monkeypatch.setattr(preflight, "free_memory", lambda: 64e9)
    assert not list(preflight.too_small([job], {}, small))
    assert list(preflight.too_small([job], {}, large)) == [line]


def test_absurd_tokens_are_no_obstacle_where_the_data_are_few(tmp_path):
    (job,) = train_job(tmp_path, "llama-2-7b", batch_examples=1)
    assert not list(preflight.large_passes([job], {}, 10**9, 64e9))


def test_memory_is_estimated_from_the_files_of_a_base_of_another_kind(tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    from tests import tiny

    tiny.make_model(tmp_path / "base")
    GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=64, n_layer=2, n_head=4)).save_pretrained(tmp_path / "base")
    for targets, widths in (("all-linear", 2 * (256 + 128 + 320 + 320)), (["c_fc"], 2 * 320), (["lm_head"], 0)):
        (job,) = train_job(tmp_path, str(tmp_path / "base"), rank=8, targets=targets)
        assert preflight.adapter_weights(job) == 8 * widths, targets
    (job,) = train_job(tmp_path, str(tmp_path / "base"), rank=10**9)
    assert list(preflight.small_memory([job], {}, 64e9))


def test_free_memory_is_that_of_the_control_group_where_it_is_less():
    import psutil

    from pipeline.machine import free_memory

    assert 0 < free_memory() <= psutil.virtual_memory().total
