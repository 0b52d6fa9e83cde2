"""Records of Every Eval Ever: the scores of a report, with what answered and how. The rules of its schema 0.3.0 are checked here by our own
lines, since its package needs a later Python and a dozen libraries."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.export import eval_records
from pipeline.export.eval_records import AnsweredArm
from pipeline.page.cells import Cell
from pipeline.store.artifact import Artifact
from tests import project, tiny

ARMS = ["base", "base_fewshot", "base_constrained", "tuned", "merged", "shuffled_labels", "constant"]
PLACEBOS = {"shuffled_labels", "constant"}
REQUIRED = {
    "": {"schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info", "eval_library", "evaluation_results"},
    "source_metadata": {"source_type", "source_organization_name", "evaluator_relationship"},
    "eval_library": {"name", "version"},
    "model_info": {"name", "id", "additional_details"},
    "evaluation_results": {"evaluation_name", "source_data", "metric_config", "score_details"},
}
OPTIONAL = {
    "": {"evaluation_timestamp"},
    "source_metadata": {"source_name"},
    "eval_library": set(),
    "model_info": {"inference_engine", "inference_platform"},
    "evaluation_results": {"evaluation_result_id", "generation_config"},
}
TEXTS = ("additional_details", "details")
"""Keys whose values are texts alone."""


def run(*words):
    sys.argv = ["loralift", *map(str, words)]
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code or 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A recipe of two seeds that was compared, and the root of its store."""
    root = tmp_path_factory.mktemp("records")
    tiny.make_model(root / "tiny")
    recipe = project.make(root, str(root / "tiny"))
    body = json.loads(recipe.read_text("utf-8"))
    body["compare"]["arms"] = ARMS
    body["finetune"] |= {"seeds": [0, 1], "max_steps": 2}
    recipe.write_text(json.dumps(body), "utf-8")
    project.carry_out(recipe, root)
    return recipe, root


@pytest.fixture(scope="module")
def records(finished, tmp_path_factory):
    """By arm."""
    recipe, root = finished
    out = tmp_path_factory.mktemp("out")
    argv = sys.argv
    assert run("report", recipe, "--store", root, "--every-eval-ever", out, "--organization", "Example") == 0
    sys.argv = argv
    return {place: json.loads(place.read_text("utf-8")) for place in out.rglob("*.json")}


def by_arm(records):
    return {record["evaluation_id"].split("/")[3].rpartition("-")[0]: record for record in records.values()}


def report_of(root):
    (path,) = (root / "data" / "report").glob("*/report.json")
    return json.loads(path.read_text("utf-8"))


def texts_of(value):
    """Every mapping that may hold texts alone."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from [item] if key in TEXTS else texts_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)


def check(record):
    """Whether a record keeps the rules of the schema."""
    assert record["schema_version"] == "0.3.0"
    for name, required in REQUIRED.items():
        parts = [record] if not name else record[name] if isinstance(record[name], list) else [record[name]]
        for part in parts:
            assert required <= part.keys() <= required | OPTIONAL[name]
    assert record["source_metadata"]["source_type"] in ("documentation", "evaluation_run")
    assert record["source_metadata"]["evaluator_relationship"] in ("first_party", "third_party", "collaborative", "other")
    details = record["model_info"]["additional_details"]
    assert details["deployment_type"] in ("self_deployed", "externally_managed", "unknown")
    assert details["model_availability"] in ("open_weights", "closed_weights", "unknown")
    assert record["retrieved_timestamp"].isdecimal()
    for mapping in texts_of(record):
        assert all(isinstance(value, str) for value in mapping.values())
    for result in record["evaluation_results"]:
        check_result(result)


def check_result(result):
    source = result["source_data"]
    assert source["source_type"] in ("hf_dataset", "other")
    assert source["source_type"] == "other" or source["hf_repo"]
    metric, details = result["metric_config"], result["score_details"]
    assert metric["lower_is_better"] is False
    assert metric["score_type"] == "continuous"
    assert metric["min_score"] <= details["score"] <= metric["max_score"]
    interval = details["uncertainty"]["confidence_interval"]
    assert interval["lower"] <= details["score"] <= interval["upper"]
    assert 0 < interval["confidence_level"] < 1
    assert type(details["uncertainty"]["num_samples"]) is int
    arguments = result["generation_config"]["generation_args"]
    assert arguments.keys() <= {"temperature", "top_p", "max_tokens", "reasoning", "prompt_template"}


def test_every_model_and_way_of_prompting_has_a_record_of_the_schema(records, finished):
    (cell,) = report_of(finished[1])["cells"]
    names = {arm["name"] for arm in cell["arms"]}
    assert names >= {*ARMS}
    assert by_arm(records).keys() == names - PLACEBOS
    assert len(records) == len(names - PLACEBOS)
    for place, record in records.items():
        check(record)
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.json", place.name)
        assert place.as_posix().endswith(f"data/pets/{record['model_info']['id']}/{place.name}")
        assert record["source_metadata"]["source_organization_name"] == "Example"
        assert str(finished[1]) not in place.read_text("utf-8")


def test_scores_are_those_of_the_report(records, finished):
    (cell,) = report_of(finished[1])["cells"]
    arms = {arm["name"]: arm for arm in cell["arms"]}
    for name, record in by_arm(records).items():
        first, second = record["evaluation_results"]
        assert [first["metric_config"]["metric_id"], second["metric_config"]["metric_id"]] == ["accuracy", "rouge_l"]
        details = first["score_details"]
        assert details["score"] == arms[name]["score"]
        assert details["uncertainty"] == {
            "num_samples": 20,
            "confidence_interval": {"lower": arms[name]["low"], "upper": arms[name]["high"], "confidence_level": 0.95},
        }
        assert second["score_details"]["score"] == arms[name]["metrics"][0]["score"]
        assert ("details" in details) == (name == "tuned")
    details = by_arm(records)["tuned"]["evaluation_results"][0]["score_details"]["details"]
    assert float(details["lift"]) == cell["comparisons"][0]["lift"]
    assert details["lift_verdict"] == cell["comparisons"][0]["verdict"]


def test_models_are_told_apart(records):
    arms = by_arm(records)
    ids = {name: record["model_info"]["id"] for name, record in arms.items()}
    assert {ids[name] for name in ids if name.startswith("base")} == {ids["base"]}
    assert re.fullmatch(r"local/tiny_weights_[0-9a-f]{12}", ids["base"])
    assert ids["tuned"] == ids["merged"]
    assert re.fullmatch(r"local/tiny--pets--r4-s0--2-runs--[0-9a-f]{8}", ids["tuned"])
    tuned, merged = (arms[name]["model_info"]["additional_details"] for name in ("tuned", "merged"))
    assert (tuned["base_model"], tuned["seeds"], tuned["rank"]) == (ids["base"], "[0, 1]", "4")
    assert "merge" not in tuned
    assert merged["merge"] == "dequantized"
    assert arms["base_fewshot"]["model_info"]["additional_details"]["shots"] == "5"
    assert [arms[name]["source_metadata"]["evaluator_relationship"] for name in ("base", "tuned")] == ["other", "first_party"]


def test_how_answers_were_generated(records):
    arguments = {name: record["evaluation_results"][0]["generation_config"] for name, record in by_arm(records).items()}
    template = {"prompt_template": "{question}"}
    assert arguments["base"]["generation_args"] == {"temperature": 0.0, "max_tokens": 6, "reasoning": False, **template}
    for name in (name for name in arguments if name.startswith("base_constrained")):
        assert arguments[name]["generation_args"] == template
        assert arguments[name]["additional_details"]["answering"] == "choices ranked by log-likelihood"


def test_records_made_again_replace_the_earlier_ones(records, finished, capsys):
    recipe, root = finished
    out = next(iter(records)).parents[4]
    assert run("report", recipe, "--store", root, "--every-eval-ever", out) == 0
    assert f"Every Eval Ever: {len(records)} records in {out / 'data'}" in " ".join(capsys.readouterr().out.split())
    assert {*out.rglob("*.json")} == records.keys()


@pytest.mark.parametrize(
    ("words", "problem"),
    [(["--limit", "2"], "scores that are not final"), (["--partial"], "scores that are not final"), ([], "it is a file")],
)
def test_what_is_refused(finished, tmp_path, capsys, words, problem):
    recipe, root = finished
    place = tmp_path / "file"
    place.write_text("")
    assert run("report", recipe, "--store", root, "--every-eval-ever", place if not words else tmp_path / "new", *words) == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def artifact(params, label="x", key="0123456789ab", facts=None):
    return Artifact(Path("x"), "generate", key, "d" * 64, 1, params, {}, {}, facts or {}, {}, label=label)


def answered(name, inputs, **row):
    """An arm of a cell that has no more than this."""
    cell = Cell("cell0000", "pets", "tiny", {}, 4, [0], {}, inputs, variant=row.get("variant"))
    whole = {"base": "org/a base", "endpoint": None, "seeds": [0], "rank": 4, "variant": None} | row
    return AnsweredArm(cell, whole, {"name": name, "label": name})


MODEL = {"model": {"repo": "Qwen/Qwen3-0.6B", "folder": None, "thinking": True}, "quantization": "nf4", "compute": "bf16"}


def test_models_of_the_hub_have_their_ids():
    adapter = artifact({"adapter": {"repo": "me/mine", "revision": "abc"}})
    inputs = {"base": artifact(MODEL), "tuned0": artifact(MODEL), "adapter0": adapter}
    assert eval_records.identity(answered("base", inputs)) == eval_records.Identity("Qwen/Qwen3-0.6B", availability="open_weights")
    tuned = answered("tuned", inputs, variant="mine")
    assert eval_records.identity(tuned).id == "me/mine"
    assert eval_records.relationship(tuned) == "third_party"
    here = {**inputs, "adapter0": artifact({"model": MODEL}, "a base--pets--r4-s0")}
    assert eval_records.identity(answered("tuned", here)).id == "local/a_base--pets--r4-s0--01234567"


def test_models_behind_endpoints_are_managed_by_others():
    params = {"endpoint": "https://api.example.com:8080/v1", "model": "org/gpt:x", "max_new_tokens": 9, "stop": []}
    inputs = {"base": artifact(MODEL), "tuned0": artifact(params), "reference.gpt": artifact(params)}
    for one in (answered("reference.gpt", inputs), answered("tuned", inputs, variant="gpt", endpoint={"host": "api.example.com"})):
        who = eval_records.identity(one)
        assert (who.id, who.deployment, who.platform) == ("api.example.com/org_gpt_x", "externally_managed", "api.example.com")
        assert eval_records.relationship(one) == "third_party"


def test_predictions_from_files_have_the_names_of_the_recipe():
    files = replace(artifact({"files": []}), stage="import_predictions")
    inputs = {"base": files, "tuned0": files, "heldout": artifact({"task": {"prompt": ""}})}
    assert eval_records.identity(answered("base", inputs)) == eval_records.Identity("local/org_a_base", "unknown")
    tuned = answered("tuned", inputs, variant="mine")
    assert eval_records.identity(tuned) == eval_records.Identity("local/mine", "unknown")
    assert eval_records.generation(tuned)["generation_args"] == {}


def test_thoughts_samples_and_data_sets_of_the_hub_are_told():
    source = {"hub": "org/pets", "revision": "abc"}
    sampled = MODEL | {"samples": 8, "temperature": 0.8, "top_p": 0.95, "max_new_tokens": 64, "stop": ["\n"]}
    heldout = replace(artifact({"task": "pets"}), facts={"source": source})
    one = answered("base", {"base": artifact(sampled), "heldout": heldout})
    assert eval_records.generation(one)["generation_args"] == {"temperature": 0.8, "top_p": 0.95, "max_tokens": 64, "reasoning": True}
    assert eval_records.source_data(one.cell, 7) == {
        "dataset_name": "pets",
        "source_type": "hf_dataset",
        "hf_repo": "org/pets",
        "samples_number": 7,
        "additional_details": {"revision": "abc"},
    }
