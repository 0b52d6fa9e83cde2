"""Values of training are tuned by the validation loss, at an equal budget for every point, and nothing is trained twice."""

import json
import math
from dataclasses import replace

import pytest

from pipeline.commands import call as calls
from pipeline.commands import plan_summary, recompute_page, report_table, searching
from pipeline.commands.lookups import Lookups
from pipeline.commands.options import RunOptions
from pipeline.config import recipe as recipes
from pipeline.errors import ComparisonError, MachineError, RecipeError
from pipeline.machine import Machine
from pipeline.measures import selection
from pipeline.measures.report_types import Report
from pipeline.page import sweep_section, tuning_section
from pipeline.planning import sampling, search_jobs
from pipeline.planning.plan import plan
from pipeline.stages import finetune
from pipeline.store.artifact import Store
from pipeline.store.folders import HeldoutFolder
from pipeline.store.result_folders import SelectionFolder
from pipeline.store.trial_folder import TrialFolder
from tests import project
from tests.interruption import calls_of
from tests.test_plan_summary import printed
from tests.test_report_schema import faults

RATE, RANK, SCALE = "finetune.learning_rate", "finetune.rank", "finetune.alpha_per_rank"
RATES = [1e-6, 1e-3, 1e-2, 3e-2]
LINEAR = {"learning_rate": RATES}


def tune_of(**keys):
    return recipe_with({"tune": {RATE: {"log_uniform": [1e-4, 1e-2], "samples": 8}, **keys}}).tune


def recipe_with(sweep, **more):
    return recipes.build({"name": "a", "base": "quickstart-base", "tasks": ["shop_notice"], "sweep": sweep, **more})


def call_of(path, root, sweep, **changes):
    """The call of the small project, quiet and on the CPU."""
    loaded = recipes.load(path, {"sweep": sweep, **changes})
    return calls.call_of(loaded, root, Machine("cpu", tokens=100, save_seconds=0.0), RunOptions(is_confirmed=True, detail="quiet"))


def selections(call):
    """By cell what was chosen, of a call whose report is made."""
    inputs = [(name, job) for name, job in call.jobs[-1].inputs if name.endswith(".selection")]
    return [SelectionFolder(calls.find_artifact(call, job).path).selection() for _, job in inputs]


def chosen(call):
    return [row["trials"][row["chosen"]]["values"] for row in selections(call)]


def adapters(call):
    """By rank and seed the artifacts of all trainings."""
    trained = {job: calls.find_artifact(call, job) for job in call.jobs if job.stage == "finetune"}
    return {(job.params["rank"], job.params["seed"]): artifact for job, artifact in trained.items()}


@pytest.fixture(scope="module")
def small(tmp_path_factory, model):
    """The recipe of the small project."""
    return project.make(tmp_path_factory.mktemp("pets"), model["folder"])


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, small):
    """A finished sweep over two ranks with successive halving, and the steps that it trained: {(rank, rate): numbers}."""
    root = tmp_path_factory.mktemp("halved")
    call = call_of(small, root, {RANK: [1, 4], "tune": {RATE: RATES, "halving": 2}}, **{"finetune.seeds": [0, 1], "finetune.dropout": 0.1})
    with calls_of(finetune, "optimizer_step") as steps:
        call = searching.settled(call)
        search_steps = len(steps)
        report = calls.make_report(call)
    return call, report, search_steps, len(steps)


def test_rungs_halve_until_one_is_left_which_the_training_itself_ends():
    assert search_jobs.rungs(8, 2) == [(8, 4), (4, 2), (2, 1)]
    assert search_jobs.rungs(9, 3) == [(9, 3), (3, 1)]
    assert search_jobs.rungs(5, 2) == [(4, 2), (2, 1)]
    assert search_jobs.rungs(8, None) == [(1, 1)]
    assert search_jobs.budget(tune_of(halving=2)) == pytest.approx(8 / 8 + 4 / 8 + 2 / 4)
    assert search_jobs.budget(tune_of()) == 8


def test_the_lowest_loss_of_those_that_went_furthest_is_chosen():
    def trial(*losses):
        parts = [4, 2][: len(losses)]
        return {"values": {}, "rungs": [{"part": part, "dev_loss": loss} for part, loss in zip(parts, losses, strict=True)]}

    assert selection.chosen([trial(0.1), trial(0.3, 0.25), trial(0.4, 0.2)]) == 2
    assert selection.chosen([trial(None), trial(2.0), trial(2.0)]) == 1
    assert selection.survivors([None, 3.0, 1.0, None, 2.0], 2) == [2, 4]
    assert selection.survivors([None, 3.0, None], 2) == [0, 1]
    assert selection.trainings([trial(0.1), trial(0.3, 0.25), trial(0.4, 0.2)]) == 1.25


def test_optimism_is_what_later_seeds_lose():
    assert selection.optimism([0.5, 0.6, 0.8]) == pytest.approx(0.2)
    assert selection.optimism([0.5]) is None
    assert selection.optimism([0.5, None]) is None


def test_every_point_has_the_same_budget_and_stopped_trials_take_no_further_step(tuned):
    call, _, search_steps, _ = tuned
    rows = selections(call)
    assert len(rows) == 2
    for row in rows:
        parts = sorted(tuple(rung["part"] for rung in trial["rungs"]) for trial in row["trials"])
        assert parts == [(4,), (4,), (4, 2), (4, 2)]
        losses = [trial["rungs"][0]["dev_loss"] for trial in row["trials"]]
        went_on = [place for place, trial in enumerate(row["trials"]) if len(trial["rungs"]) == 2]
        assert went_on == selection.survivors(losses, 2)
        assert [rung["total_steps"] for trial in row["trials"] for rung in trial["rungs"]] == [5] * 6
        assert row["seed"] == 0
    # 5 steps: a quarter is 2, a half 3; of 4 trials 2 go on; for both ranks
    assert search_steps == 2 * (4 * 2 + 2 * 1)


def test_the_winner_goes_on_from_its_trial_and_equals_an_undisturbed_training_to_the_byte(tuned, small, tmp_path):
    call, _, search_steps, all_steps = tuned
    assert all_steps - search_steps == 2 * ((5 - 3) + 5)  # the first seed from its trial, the second from the start
    for values, rank in zip(chosen(call), (1, 4), strict=True):
        changes = {RANK: rank, **values, "finetune.seeds": [0], "finetune.dropout": 0.1}
        plain = calls.call_of(recipes.load(small, changes), tmp_path, call.site.machine, call.options)
        whole = calls.carry_out(plain, {"finetune"})
        [(key, digest)] = [(artifact.key, artifact.digest) for job, artifact in whole.items() if job.stage == "finetune"]
        assert (adapters(call)[rank, 0].key, adapters(call)[rank, 0].digest) == (key, digest)


def test_resume_points_of_those_that_stopped_are_dropped(tuned):
    call = tuned[0]
    assert [path for path in (call.site.store.checkpoints / ".resume").iterdir() if path.is_dir()] == []


def test_the_chosen_value_is_used_for_all_seeds_and_others_are_never_answered(tuned):
    call = tuned[0]
    for (rank, _), adapter in adapters(call).items():
        assert adapter.params["learning_rate"] == chosen(call)[[1, 4].index(rank)][RATE]
    stages = [artifact.stage for artifact in call.site.store.all()]
    assert stages.count("trial") == 12
    assert stages.count("finetune") == 4
    assert stages.count("generate") == 5  # base, and two seeds at two ranks


def test_nothing_is_done_again(tuned, small):
    call = tuned[0]
    again = call_of(
        small, call.site.store.data.parent, {RANK: [1, 4], "tune": {RATE: RATES, "halving": 2}},
        **{"finetune.seeds": [0, 1], "finetune.dropout": 0.1},
    )  # fmt: skip
    assert again.jobs == call.jobs
    assert search_jobs.pending(again.jobs, Lookups(again.site.store).folder) == []
    assert calls.unfinished(again) == []


def test_the_report_says_what_was_chosen_by_what_and_at_which_budget(tuned):
    call, report, *_ = tuned
    data = json.loads((report.path / "report.json").read_text("utf-8"))
    page, markdown = ((report.path / name).read_text("utf-8") for name in ("report.html", "report.md"))
    assert [row["values"] for row in data["tuning"]] == chosen(call)
    assert [row["trainings"] for row in data["tuning"]] == [1.5, 1.5]
    assert faults(data, Report) == []
    for row, rank in zip(data["tuning"], (1, 4), strict=True):
        facts = [adapters(call)[rank, seed].facts["dev_loss"] for seed in (0, 1)]
        assert row["dev_losses"] == facts
        assert row["optimism"] == pytest.approx(facts[1] - facts[0])
        assert row["sentence"] in markdown
    section = page.partition('<section id="tuning">')[2].partition("</section>")[0]
    for text in (section, markdown):
        assert "All had the same budget: the steps of 1.5 whole trainings. No test example was read for it." in text
        assert "1 seed trained after the choice has one that differs by" in text
    terminal = " ".join(" ".join(printed(lambda out: out.print(report_table.summary(data)))).split())
    assert "All had the same budget" in terminal
    for row in data["tuning"]:
        assert f"{row['label']}: learning rate {row['values'][RATE]:g} chosen" in terminal
    assert data["sweep"]["rate_note"] == ""
    assert data["setup"]["learning_rate"] == list(dict.fromkeys(values[RATE] for values in chosen(call)))


def test_verify_recomputes_the_choice(tuned):
    _, report, *_ = tuned
    assert recompute_page.verify(report.path / "report.html").comparisons == 2


def test_a_choice_that_does_not_follow_is_refused(tuned):
    call, *_ = tuned
    cells = [(job, artifact) for job in call.jobs if (artifact := calls.find_artifact(call, job)) and job.stage == "select"]
    record = SelectionFolder(cells[0][1].path).selection()

    class Cell:
        label = "pets"
        adapters = ()

    tuning_section.check(Cell, record)
    with pytest.raises(ComparisonError, match="was chosen, and by the validation losses it is trial"):
        tuning_section.check(Cell, {**record, "chosen": (record["chosen"] + 1) % 4})
    Cell.adapters = (next(iter(adapters(call).values())),)
    other = {**record, "trials": [{**trial, "values": {RATE: 0.5}} for trial in record["trials"]]}
    with pytest.raises(ComparisonError, match=r"learning_rate 0\.5 was chosen, and an adapter was trained with"):
        tuning_section.check(Cell, other)


def test_the_choice_never_reads_a_test_example(small, tmp_path, tuned):
    """The rows of the test set are replaced by noise once the training rows that resemble them are out."""
    call = call_of(small, tmp_path, {RANK: [1, 4], "tune": {RATE: RATES, "halving": 2}}, **{"finetune.dropout": 0.1})
    prepared = calls.carry_out(call, {"prepare"})
    [heldout] = [artifact for job, artifact in prepared.items() if job.params["split"] == "heldout"]
    (heldout.path / HeldoutFolder.EXAMPLES).write_text("no example\n", "utf-8")
    call = searching.settled(call)
    rows = [job for job in call.jobs if job.stage == "select"]
    assert [calls.find_artifact(call, job) for job in rows] == [None, None]  # they run with the rest
    artifacts = calls.carry_out(call, {"select"})
    assert [artifacts[job].facts["values"] for job in rows] == chosen(tuned[0])
    with pytest.raises(json.JSONDecodeError):  # what answers does read it
        calls.make_report(call)


def test_each_point_gets_the_best_rate_of_its_own(small, tmp_path):
    """A thousandth of the scale needs a higher rate: an update is scale x B A, and Adam moves B by the rate at each step."""
    sweep = {RANK: [1, 4], SCALE: [20.0, 0.02], "tune": {RATE: [1e-4, 1e-2, 1.0, 1e4]}}
    call = searching.settled(call_of(small, tmp_path, sweep))
    calls.carry_out(call, {"select"})
    assert chosen(call) == [{RATE: 1e-2}, {RATE: 1.0}, {RATE: 1e-2}, {RATE: 1.0}]
    faults = [trial["rungs"][0]["fault"] for row in selections(call) for trial in row["trials"]]
    assert ["the loss is nan" in fault or "no gradient" in fault for fault in faults] == [False, False, False, True] * 4


def test_a_search_that_is_killed_goes_on_and_trains_no_step_twice(small, tmp_path):
    sweep = {RANK: [1], "tune": {RATE: RATES, "halving": 2}}
    numbers = []
    real = finetune.optimizer_step

    def counted(passes, state, batch, norm):
        numbers.append((state.optimizer.defaults["lr"], state.step))
        return real(passes, state, batch, norm)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune, "optimizer_step", counted)
        for kill_at in (1, 3, 4, 2):
            with calls_of(finetune, "optimizer_step", kill_at):
                searching.settled(call_of(small, tmp_path, sweep))
        call = searching.settled(call_of(small, tmp_path, sweep))
        calls.carry_out(call, {"finetune"})
    assert len(numbers) == len(set(numbers)) == 4 * 2 + 2 * 1 + 2


def test_a_rate_at_which_training_diverges_is_noted_and_not_chosen(small, tmp_path):
    unconfirmed = replace(call_of(small, tmp_path, {"tune": {RATE: [1e30, 1e-2]}}), options=RunOptions(detail="quiet"))
    call = searching.settled(unconfirmed)  # on a CPU nobody is asked
    calls.carry_out(call, {"select"})
    [row] = selections(call)
    assert row["chosen"] == 1
    assert row["trials"][0]["rungs"][0]["dev_loss"] is None
    assert "nan" in row["trials"][0]["rungs"][0]["fault"]


def test_a_lost_resume_point_costs_time_alone(small, tmp_path):
    call = searching.settled(call_of(small, tmp_path, {"tune": {RATE: RATES, "halving": 2}}))
    [folder] = [path for path in (call.site.store.checkpoints / ".resume").iterdir() if path.is_dir()]  # the winner's
    (folder / "state.pt").unlink()
    again = calls.carry_out(call, {"finetune"})
    [adapter] = [artifact for job, artifact in again.items() if job.stage == "finetune"]
    assert adapter.facts["steps"] == 5


def test_a_resume_point_of_a_later_step_is_not_gone_on_from(small, tmp_path):
    """The first rung of a trial is trained anew where only a later rung's resume point is left."""
    call = searching.settled(call_of(small, tmp_path, {"tune": {RATE: RATES, "halving": 2}}))
    rungs = [job for job in call.jobs if job.stage == "trial" and job.params["learning_rate"] == 1e-2]
    before = [TrialFolder(calls.find_artifact(call, job).path).result() for job in rungs]
    assert [row["steps"] for row in before] == [2, 3]
    first = calls.find_artifact(call, rungs[0])
    digest = first.digest
    for path in sorted(first.path.iterdir()):
        path.unlink()
    first.path.rmdir()
    assert calls.carry_out(call, {rungs[0]})[rungs[0]].digest == digest


def test_no_validation_examples(small, tmp_path):
    with pytest.raises(RecipeError, match=r"prepare\.dev_examples is 0"):
        call_of(small, tmp_path, {"tune": {RATE: RATES}}, **{"prepare.dev_examples": 0})


def test_a_plan_counts_what_is_not_decided_yet_and_never_runs_stand_ins(small, tmp_path):
    call = call_of(small, tmp_path, {RANK: [1, 4], "tune": {RATE: RATES, "halving": 2}})
    jobs = [job.stage for job in call.jobs]
    assert (jobs.count("trial"), jobs.count("finetune")) == (12, 2)
    lookups = Lookups(Store(tmp_path / "data", tmp_path / "checkpoints"))
    assert len(search_jobs.pending(call.jobs, lookups.folder)) == 8
    with pytest.raises(AssertionError, match="trials have to run"):
        calls.carry_out(call, {"finetune"})
    text = printed(lambda out: plan_summary.show_tuning(out, call.recipe, 2))
    assert "4 values, halving 2) for 2 comparisons: 8 trainings are begun, of the steps of 3 whole ones." in " ".join(text)


def test_a_recipe_without_tune_plans_what_it_did():
    jobs = plan(recipe_with({RANK: [1, 4]}), ask=False)
    assert not {"trial", "select"} & {job.stage for job in jobs}


@pytest.mark.parametrize(
    ("sweep", "more", "message"),
    [
        ({RANK: [1, 4], "tune": {RANK: [1, 2]}}, {}, "tune: finetune.rank is swept too"),
        ({"tune": {"compare.seed": [1, 2]}}, {}, "tune: compare.seed is no key of finetune, and it can tune no others"),
        (
            {"tune": {"finetune.epochs": [1, 2]}},
            {},
            "finetune.epochs is no key to tune, since every value is tried at an equal budget",
        ),
        ({"tune": {RATE: [1e-3]}}, {}, "tune: 1 values would be tried at each point: give at least 2"),
        ({"tune": {RATE: [1e-3, 1e-3]}}, {}, "takes 0.001 more than once"),
        ({"tune": {RATE: [1e-3, -1.0]}}, {}, "finetune.learning_rate must be more than 0"),
        ({"tune": {}}, {}, "tune: it names no key"),
        ({"tune": {RATE: 5}}, {}, "tune.finetune.learning_rate must be a list (it is 5)"),
        ({"tune": {RATE: [1e-3, 2e-3], "sampler": "gp"}}, {}, "tune.sampler must be 'tpe'"),
        ({"tune": {RATE: [1e-3, 2e-3], "sampler": "tpe"}}, {}, "sampler: tpe needs a range"),
        ({"tune": {RATE: [1e-3, 2e-3], "halving": 3}}, {}, "one in 3 is none"),
        ({"tune": {RATE: {"log_uniform": [1e-4, 1e-2], "samples": 8}, "sampler": "tpe", "halving": 2}}, {}, "Keep one of them"),
        ({"tune": {RATE: {"log_uniform": [1e-4, 1e-2], "samples": 900}}}, {}, "give at least 2 and at most 100"),
        ({RANK: list(range(1, 200)), "tune": {RATE: RATES * 1 + [1.0, 2.0]}}, {}, "1,194 trainings of each task"),
        ({"tune": {RATE: RATES}}, {"tune": {RATE: RATES}}, "tune is given twice"),
        ({"tune": {RATE: RATES}}, {"prepare": {"dev_examples": 0}}, "prepare.dev_examples is 0"),
        ({"finetune.alpha": [1, 2], "tune": {"finetune.alpha_per_rank": [1, 2]}}, {}, "set one thing in two ways"),
    ],
)
def test_bad_input_is_refused_in_a_line(sweep, more, message):
    with pytest.raises(RecipeError) as error:
        recipe_with(sweep, **more).points()
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


def test_a_list_of_points_is_tuned_by_a_section_of_its_own():
    recipe = recipe_with([{RANK: 1}, {RANK: 4}], tune={RATE: RATES})
    assert [point.tune.values for _, point in recipe.points()] == [{RATE: RATES}] * 2
    assert recipes.build(json.loads(json.dumps(recipe.model_dump(mode="json")))) == recipe


def test_a_sweep_with_a_tuned_rate_has_no_note_on_it():
    recipe = recipe_with({RANK: [1, 4], "tune": {RATE: RATES}}).model_dump(mode="json")
    assert sweep_section.rate_note(recipe) == ""
    assert sweep_section.rate_note({**recipe, "tune": None})
    other = recipe_with({RANK: [1, 4], "tune": {"finetune.dropout": [0.0, 0.1]}}).model_dump(mode="json")
    assert sweep_section.rate_note(other)


def test_optuna_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(sampling, "find_spec", lambda name: None)
    with pytest.raises(MachineError, match=r"needs Optuna, which is not installed\.\n  Run: pip install 'loralift\[tune\]'"):
        plan(recipe_with({"tune": {RATE: {"log_uniform": [1e-4, 1e-2], "samples": 4}, "sampler": "tpe"}}), ask=False)


def tpe_rates(best, trials=20):
    """The rates that TPE tries where the loss is the squared distance from a rate in decades."""
    sampler = sampling.Sampler(tune_of(sampler="tpe", **{RATE: {"log_uniform": [1e-5, 1e-1], "samples": trials}}))
    rates = []
    for _ in range(trials):
        rates.append(sampler.ask()[RATE])
        sampler.tell((math.log10(rates[-1]) - math.log10(best)) ** 2)
    return rates


@pytest.mark.parametrize("best", [3e-5, 1e-3, 3e-2])
def test_tpe_closes_in_on_the_best_rate_and_repeats_itself(best):
    pytest.importorskip("optuna")
    rates = tpe_rates(best)
    assert rates == tpe_rates(best)
    decades = sorted(abs(math.log10(rate / best)) for rate in rates)
    assert decades[0] < 0.1  # of 20 at random in four decades the nearest is mostly farther off
    assert decades[9] < 0.8  # and half of them are more than a decade away


def test_tpe_learns_from_trials_that_diverged():
    pytest.importorskip("optuna")
    sampler = sampling.Sampler(tune_of(sampler="tpe", **{RATE: {"log_uniform": [1e-5, 1e-1], "samples": 30}}))
    rates = []
    for _ in range(30):
        rates.append(sampler.ask()[RATE])
        sampler.tell(None if rates[-1] > 1e-3 else -math.log10(rates[-1]))
    assert sum(rate > 1e-3 for rate in rates[-10:]) < sum(rate > 1e-3 for rate in rates[:10])


def test_tpe_tunes_a_task_one_trial_after_the_other_and_goes_on_where_it_was_killed(small, tmp_path):
    pytest.importorskip("optuna")
    sweep = {"tune": {RATE: {"log_uniform": [1e-6, 1.0], "samples": 5}, SCALE: [1.0, 2.0], "sampler": "tpe"}}
    with calls_of(finetune, "optimizer_step", 13):
        searching.settled(call_of(small, tmp_path, sweep))
    with calls_of(finetune, "optimizer_step") as rest:
        call = searching.settled(call_of(small, tmp_path, sweep))
    assert len(rest) == 5 * 5 - 12
    calls.carry_out(call, {"finetune", "select"})
    [row] = selections(call)
    assert (row["sampler"], len(row["trials"])) == ("tpe", 5)
    losses = [trial["rungs"][0]["dev_loss"] for trial in row["trials"]]
    assert losses[row["chosen"]] == min(loss for loss in losses if loss is not None)
    again = call_of(small, tmp_path / "other", sweep)
    assert chosen(call) == chosen_anew(again)


def chosen_anew(call):
    call = searching.settled(call)
    calls.carry_out(call, {"select"})
    return chosen(call)
