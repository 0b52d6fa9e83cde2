"""A plan on a terminal of 80 columns: no line is longer, and every name stands there whole."""

from io import StringIO

from rich.console import Console
from rich.text import Text

from pipeline.commands import plan_table
from pipeline.config import recipe as recipes
from pipeline.planning.plan import plan
from pipeline.store.artifact import Store

LONG = {"tasks": ["tldr_headline_gen", "hellaswag_processed", "customer_support"], "finetune": {"seeds": [0, 1]}}


def printed(asked_for, root, terminal=True):
    """The lines of a plan with all its jobs on 80 columns, on a terminal or in a pipe."""
    screen = StringIO()
    console = Console(file=screen, highlight=False, width=80, force_terminal=terminal, color_system=None)
    plan_table.show_plan(console, asked_for, plan(asked_for, ask=False), Store(root / "data", root / "checkpoints"), True)
    return [line.rstrip() for line in screen.getvalue().splitlines()]


def test_no_line_of_a_plan_passes_80_columns_and_no_name_is_broken(tmp_path):
    arms = ("base", "base_fewshot", "base_constrained", "base_bf16", "tuned", "merged_original", "shuffled_labels", "unrelated")
    asked_for = recipes.Recipe.model_validate({"name": "a", "base": "mistral-7b-v0.3", **LONG, "compare": {"arms": arms}})
    lines, jobs = printed(asked_for, tmp_path), plan(asked_for, ask=False)
    assert [line for line in lines if len(line) > 80 and "https:" not in line] == []
    assert max(len(job.label) for job in jobs) > 50
    flat = " ".join(" ".join(lines).split())
    assert "names without mistral-7b-v0.3--" in flat
    assert all(f" {job.stage} {job.label.removeprefix('mistral-7b-v0.3--')} to run" in flat for job in jobs)
    whole = printed(asked_for, tmp_path, terminal=False)  # for a program, a line a job
    assert all(any(f" {job.stage:{plan_table.STAGE_WIDTH}} {job.label} to run" in line for line in whole) for job in jobs)


def test_names_of_several_bases_stand_whole(tmp_path):
    bases = {"base": ["mistral-7b", "quickstart-base"]}
    asked_for = recipes.Recipe.model_validate({"name": "a", "base": "mistral-7b", "tasks": ["customer_support"], "sweep": bases})
    lines, jobs = printed(asked_for, tmp_path), plan(asked_for, ask=False)
    assert [line for line in lines if len(line) > 80 and "https:" not in line] == []
    flat = " ".join(" ".join(lines).split())
    assert all(f" {job.stage} {job.label} to run" in flat for job in jobs)


def test_a_long_reason_is_wrapped():
    reason = "to run (changed since 0123456789ab: learning_rate, schedule, warmup, weight_decay, batch_examples, epochs)"
    lines = plan_table.fill_lines([Text("x" * 46), Text("mistral-7b--boolq--r8-s0"), Text(reason)], 80).plain.splitlines()
    assert [len(row) <= 80 for row in lines] == [True] * 3
    assert lines[0].endswith(" mistral-7b--boolq--r8-s0")
    assert " ".join(" ".join(lines[1:]).split()) == reason
    assert plan_table.fill_lines([Text("a"), Text("b" * 90), Text("c")], None).plain == f"a {'b' * 90} c"


def test_what_follows_a_wrapped_part_reckons_with_its_indent():
    long = f"{'n' * 74} {'m' * 70}"
    lines = ["head", plan_table.INDENT + "n" * 74, plan_table.INDENT + "m" * 70]
    assert plan_table.fill_lines([Text("head"), Text(long), Text("z" * 8)], 80).plain.splitlines() == [*lines, plan_table.INDENT + "z" * 8]
    assert plan_table.fill_lines([Text("head"), Text(long), Text("z" * 3)], 80).plain.splitlines() == [*lines[:2], f"{lines[2]} zzz"]


def test_a_name_longer_than_a_line_is_broken():
    lines = plan_table.fill_lines([Text("head"), Text("n" * 100)], 80).plain.splitlines()
    assert lines == ["head", plan_table.INDENT + "n" * 74, plan_table.INDENT + "n" * 26]
