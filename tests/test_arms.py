"""Which arms a task can have, what the plan asks of each, and what stands in the prompts of those with worked examples or keys."""

import json
import shutil

import pytest

from pipeline.config import recipe as recipes
from pipeline.data import few_shot_prompts
from pipeline.errors import RecipeError
from pipeline.measures import speed_summary
from pipeline.models import renderer
from pipeline.planning.plan import plan
from pipeline.store.records import Example

ALL = (
    "base base_fewshot base_constrained tuned tuned_constrained base_bf16 merged merged_original constant shuffled_labels unrelated".split()
)


@pytest.fixture
def planned(tmp_path, model):
    """The jobs of a recipe with these keys, without the report, by what they are to the first cell."""

    def make(**keys):
        body = {"name": "r", "base": model["folder"], "tasks": ["shop_sentiment"], **keys}
        (tmp_path / "r.yaml").write_text(json.dumps(body))
        report = plan(recipes.load(tmp_path / "r.yaml"))[-1]
        inputs = {name.removeprefix("cell0000."): job for name, job in report.inputs if name.startswith("cell0000.")}
        return inputs, report.params["cells"]

    return make


def others(jobs):
    return [name.removeprefix("arm.") for name in jobs if name.startswith("arm.")]


def test_the_default_arms_and_the_constant_answer_are_planned(planned):
    jobs, cells = planned()
    assert others(jobs) == ["base_fewshot", "base_constrained"]
    assert cells[0]["absent"] == []
    assert dict(jobs["comparison"].inputs)["train"] == jobs["train"]  # the constant answer is chosen on it
    jobs, _ = planned(compare={"arms": ["base", "tuned"]})
    assert "train" not in dict(jobs["comparison"].inputs)  # training examples go nowhere they are not needed


def test_free_text_has_no_constrained_arm_and_says_so(planned):
    jobs, cells = planned(tasks=["shop_notice", "shop_sentiment"])
    assert others(jobs) == ["base_fewshot"]
    assert cells[0]["absent"] == [{"arm": "base_constrained", "why": "free-text task, neither a closed set of answers nor JSON"}]


def test_every_arm_is_one_job_beside_base_on_the_same_exam(planned):
    jobs, _ = planned(compare={"arms": ALL})
    assert others(jobs) == [name for name in ALL if name not in ("base", "tuned", "constant")]
    assert {dict(jobs[f"arm.{name}"].inputs)["heldout"] for name in others(jobs)} == {jobs["heldout"]}
    assert dict(jobs["comparison"].inputs)["train"] == jobs["train"]
    extra = {name: {k: v for k, v in jobs[f"arm.{name}"].params.items() if jobs["base"].params.get(k) != v} for name in others(jobs)}
    assert extra["base_fewshot"] == {"shots": 5, "shots_seed": 0}
    assert extra["base_constrained"] == extra["tuned_constrained"] == {"constrain": "choices"}
    assert extra["base_bf16"] == {"quantization": "none"}
    assert [extra[name] for name in ("merged", "merged_original")] == [{"merge": "dequantized"}, {"merge": "original"}]
    assert extra["shuffled_labels"] == extra["unrelated"] == {}


def test_placebo_adapters_differ_from_the_tuned_one_in_one_thing_each(planned):
    jobs, _ = planned(compare={"arms": ALL}, tasks=["shop_sentiment", "shop_notice"])
    tuned, shuffled, unrelated = (dict(jobs[name].inputs)["adapter"] for name in ("tuned0", "arm.shuffled_labels", "arm.unrelated"))
    assert shuffled.inputs == tuned.inputs
    assert shuffled.params == tuned.params | {"placebo": "shuffled_labels"}
    assert unrelated.params == tuned.params
    assert dict(unrelated.inputs)["train"].params["task"] == "shop_notice"


def test_the_unrelated_task_may_be_named(planned):
    jobs, _ = planned(compare={"arms": ["base", "tuned", "unrelated"], "unrelated": "shop_extraction"})
    assert dict(dict(jobs["arm.unrelated"].inputs)["adapter"].inputs)["train"].params["task"] == "shop_extraction"


def test_what_is_timed_does_not_depend_on_arms_that_others_stand_in_for(planned):
    params = dict(planned(compare={"arms": ALL})[0]["speed"].params)
    assert (params["dense"], params["constrained"]) == (True, ["base_constrained", "tuned_constrained"])
    few = planned(compare={"arms": ["base", "tuned", "merged"]})[0]["speed"]
    assert few == planned(compare={"arms": ["base", "tuned", "merged", "merged_original", "unrelated"]})[0]["speed"]
    plain = planned(compare={"arms": ["base", "tuned", "merged_original"]}, generate={"quantization": "none"})[0]["speed"]
    assert not dict(plain.params)["dense"]  # the base is
    keys = planned(compare={"arms": ["base", "base_constrained", "tuned"]}, tasks=["shop_extraction"])[0]["speed"]
    assert dict(keys.params)["constrain"] == "keys"
    assert "train" in dict(keys.inputs)


@pytest.mark.parametrize(
    ("arm", "quantized", "one"),
    [
        ("merged", True, "base_bf16"),
        ("merged_original", True, "base_bf16"),
        ("merged_original", False, "base"),
        ("shuffled_labels", True, "tuned"),
        ("unrelated", True, "tuned"),
        ("base_constrained_raw", True, "base_constrained"),
        ("tuned_constrained_raw", True, None),
        ("constant", True, None),
        ("reference.gpt-x", True, None),
    ],
)
def test_an_arm_that_is_not_timed_has_a_stand_in_of_its_shape(arm, quantized, one):
    timed = ["base", "tuned", "base_constrained", *(["base_bf16"] if quantized else [])]
    assert speed_summary.timed_equivalent(arm, timed, quantized) == one
    assert speed_summary.timed_equivalent(arm, [], quantized) is None


def test_a_base_that_is_not_quantized_is_its_own_bf16_arm(planned):
    _, cells = planned(compare={"arms": ["base", "tuned", "base_bf16", "merged", "merged_original"]}, generate={"quantization": "none"})
    assert [gone["arm"] for gone in cells[0]["absent"]] == ["base_bf16", "merged"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"tasks": ["shop_notice"], "compare": {"arms": ["base", "base_constrained", "tuned"]}},
            "shop_notice cannot have the arm base_constrained",
        ),
        ({"compare": {"shots": 21}, "prepare": {"train_examples": 20}}, "no 21 examples to show: prepare.train_examples is 20"),
        ({"compare": {"arms": ["base", "tuned", "unrelated"], "unrelated": "shop_notce"}}, "no task 'shop_notce'"),
        ({"general": {"suites": ["paragraph"]}}, "general.suites: there is no suite or task 'paragraph'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(planned, keys, message):
    with pytest.raises(RecipeError, match=message):
        planned(**keys)


def test_general_suites_are_the_other_tasks_or_embedded_ones(planned):
    suites = [
        sorted({name.split(".")[1] for name in planned(tasks=tasks)[0] if name.startswith("general.")})
        for tasks in (["shop_sentiment"], ["shop_sentiment", "shop_notice", "shop_extraction", "boolq"])
    ]
    assert suites == [["paragraphs"], ["paragraphs", "shop_extraction", "shop_notice"]]  # this base's window is short


def test_base_answers_a_general_suite_once_for_all_tasks(planned, model):
    tasks = ["shop_sentiment", "shop_notice", "shop_extraction"]
    _, cells = planned(tasks=tasks)
    jobs = plan(recipes.build({"name": "r", "base": model["folder"], "tasks": tasks}))
    general = [job for job in jobs if job.stage == "generate" and job.params["model"] and job.label.endswith("base-general")]
    assert len(cells) == len(general) == 3


def test_two_tasks_that_share_a_suite_of_as_many_examples_share_the_base(planned):
    jobs, _ = planned(tasks=["shop_sentiment", "shop_notice"], prepare={"heldout_examples": 100}, general={"examples": 100})
    assert jobs["general.shop_notice.heldout"].label == "shop_notice--heldout"


# What stands in the prompts


@pytest.fixture(scope="module")
def render(model):
    return renderer.renderer(model)


TRAIN = [Example(f"t{n}", f"intro\n\nthe cat {n} :", f"dog {n}") for n in range(9)]
QUESTION = Example("q", "intro\n\nthe bird :", "cat")


def test_worked_examples_stand_before_the_question_and_the_preface_once(render):
    shots = few_shot_prompts.Shots(render, TRAIN, 3, 0, 500, "intro\n\n")
    prompt, count = shots.prompt(QUESTION)
    blocks = prompt.split("\n\n")
    assert (count, blocks[0], blocks[-1]) == (3, "intro", "the bird :")
    assert len({*blocks[1:-1]}) == 3
    assert {*blocks[1:-1]} <= {f"the cat {n} : dog {n}" for n in range(9)}


def test_the_choice_of_worked_examples_is_the_seed_s(render):
    prompts = {seed: few_shot_prompts.Shots(render, TRAIN, 3, seed, 500).prompt(QUESTION)[0] for seed in (0, 1)}
    assert prompts[0] != prompts[1]
    assert few_shot_prompts.Shots(render, TRAIN, 3, 1, 500).prompt(QUESTION)[0] == prompts[1]


def test_fewer_are_shown_where_they_do_not_fit(render):
    whole, _ = few_shot_prompts.Shots(render, TRAIN, 5, 0, 500).prompt(QUESTION)
    needed = len(render.prompt_ids(whole))
    assert few_shot_prompts.Shots(render, TRAIN, 5, 0, needed).prompt(QUESTION)[1] == 5
    smaller, count = few_shot_prompts.Shots(render, TRAIN, 5, 0, needed - 1).prompt(QUESTION)
    assert (count, whole.endswith(smaller)) == (4, True)
    assert few_shot_prompts.Shots(render, TRAIN, 5, 0, 1).prompt(QUESTION) == (QUESTION.prompt, 0)


def test_all_training_examples_are_shown_where_there_are_fewer_than_asked(render):
    assert few_shot_prompts.Shots(render, TRAIN[:3], 5, 0, 500).prompt(QUESTION)[1] == 3


def test_an_answer_that_goes_on_with_the_pattern_is_cut_before_the_next_question(render):
    assert few_shot_prompts.Shots(render, TRAIN, 3, 0, 500).stop == "\n\n"
    assert few_shot_prompts.Shots(render, [*TRAIN, Example("x", "code :", "a\n\nb")], 3, 0, 500).stop == ""


def test_fewer_training_examples_than_the_usual_shots_are_no_mistake(planned):
    assert "arm.base_fewshot" in planned(prepare={"train_examples": 3})[0]


def test_a_base_of_a_short_window_gets_no_embedded_suite_that_nobody_asked_for(planned, model, tmp_path):
    folder = shutil.copytree(model["folder"], tmp_path / "short")
    for window, suites in ((256, ["paragraphs"]), (512, ["paragraphs", "shop_extraction"])):
        config = json.loads((folder / "config.json").read_text()) | {"max_position_embeddings": window}
        (folder / "config.json").write_text(json.dumps(config))
        jobs, _ = planned(base=str(folder))
        assert sorted({name.split(".")[1] for name in jobs if name.startswith("general.")}) == suites


def test_the_keys_of_all_targets_are_asked_for():
    train = [Example("a", "x", '{"to": 1, "day": 2}'), Example("b", "x", '{"from": 3}')]
    assert few_shot_prompts.json_keys(train) == ["to", "day", "from"]
    assert few_shot_prompts.with_key_list(QUESTION, ["to", 'a"b']).startswith(
        'Answer with one JSON object that has exactly these keys: "to", "a\\"b".\n\nintro'
    )
    assert few_shot_prompts.json_keys([*train, Example("c", "x", "[1]"), Example("d", "x", "no JSON")]) == ["to", "day", "from"]
    assert (
        few_shot_prompts.with_key_list(QUESTION, ["to"], "intro\n\n")
        == 'intro\n\nAnswer with one JSON object that has exactly these keys: "to".\n\nthe bird :'
    )


def test_all_that_an_arm_needs_is_in_the_plan_before_it(model):
    body = {"name": "r", "base": model["folder"], "tasks": ["shop_sentiment"], "compare": {"arms": ALL}}
    jobs = plan(recipes.build(body))
    for index, job in enumerate(jobs):
        assert all(jobs.index(source) < index for _, source in job.inputs)
    trained = [job.label.partition("--")[2] for job in jobs if job.stage == "finetune"]
    assert trained == ["shop_sentiment--r16-s0", "shop_sentiment--r16-s0-shuffled_labels", "shop_extraction--r16-s0"]


def test_a_task_s_own_adapter_is_no_placebo(planned):
    with pytest.raises(
        RecipeError, match=r"compare\.unrelated: shop_sentiment is a task of this recipe, and its own adapter is no placebo\."
    ):
        planned(compare={"arms": ["base", "tuned", "unrelated"], "unrelated": "shop_sentiment"})
