"""The commands of the command line: parse, call, print.

A UserError becomes its message and exit code 2; 3 if artifacts were altered, a page does not follow from its records, or an export
loses more than its margin; and 4 if another version made that page, it brings code that nobody trusted, or jobs of a run that kept
going failed. A run of more than two hours
that nobody confirms ends with 2, too. Any other exception is a bug of ours: a traceback and exit code 1. A gate exits with 3 if it
fails, 4 if it cannot be decided and 5 if a required task was not run.
"""

import io
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from pipeline.commands import advise, copy_artifacts, ranks_verb, result_diff, views
from pipeline.commands.bench_options import BenchOptions
from pipeline.commands.call import (
    SMOKE_TESTS,
    carry_out,
    make_report,
    out,
    parse_call,
    store_at,
    unfinished,
)
from pipeline.commands.export_options import Choice, choice_of, exporting_machine_of
from pipeline.commands.export_options import request_of as request_of_export
from pipeline.commands.options import (
    GateFile,
    Limit,
    OptionalRecipe,
    RecipeArguments,
    ReportOptions,
    RunOptions,
    StoreFolder,
    UnsafeCode,
    machine_of,
    machine_of_comparison,
    output_options_of,
    report_options_of,
    run_options_of,
    sweep_options_of,
    with_options,
)
from pipeline.commands.place_options import placed
from pipeline.commands.quick_recipe import Question, with_recipe
from pipeline.commands.report_output import load_gate, show_partial_report, show_report
from pipeline.commands.score_recipe import ScoreRequest, pairing_of, with_predictions
from pipeline.commands.searching import settled
from pipeline.commands.serve_options import ServeOptions
from pipeline.commands.verbs import Verbs, show_error, show_version
from pipeline.data import rows_used
from pipeline.errors import ArtifactError, UserError
from pipeline.export.request import ExportRequest
from pipeline.machine import Machine
from pipeline.store.result_folders import ReportFolder

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    cls=Verbs,
    help="Fine-tune a model with 4-bit LoRA and measure, with evidence, what it gained over its base.",
)


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", callback=show_version, is_eager=True)] = False,
) -> None:
    """The options of the command itself; show_version() acts on the one that there is."""


@app.command("plan")
def plan_verb(
    recipe: RecipeArguments,
    store: StoreFolder = Path(),
    every: Annotated[bool, typer.Option("--all", help="List every job, and what the test sets can show.")] = False,
    gpus: Annotated[bool, typer.Option("--gpus", help="Show memory and hours on four graphics cards.")] = False,
    limit: Limit = None,
) -> None:
    """Show what is left to run on this machine, task by task: rows, memory, time and minimum detectable effect."""
    from pipeline.commands import plan_table

    call = parse_call(recipe, store, Machine(), RunOptions(limit=limit), ask_hub=False)
    plan_table.show_plan(out, call.recipe, call.jobs, call.site.store, every, gpus)


app.command("advise")(advise.verb)


@app.command("prepare")
def prepare_verb(recipe: RecipeArguments, store: StoreFolder = Path(), limit: Limit = None) -> None:
    """Prepare the training and test examples of every task."""
    artifacts = carry_out(parse_call(recipe, store, Machine(), RunOptions(limit=limit)), {"prepare"})
    for job, artifact in ((job, artifact) for job, artifact in artifacts.items() if job.stage == "prepare"):
        out.print(Text.assemble(f"{job.label}: {rows_used.sentence(artifact.facts)}  ", (str(artifact.path), "dim")), soft_wrap=True)


@app.command("finetune")
@with_options("machine", placed(machine_of))
@with_options("options", run_options_of)
def finetune_verb(recipe: RecipeArguments, machine: Machine, options: RunOptions, store: StoreFolder = Path()) -> None:
    """Train every adapter of a recipe."""
    artifacts = carry_out(settled(parse_call(recipe, store, machine, options)), {"finetune"})
    views.show_adapters(out, [artifact for job, artifact in artifacts.items() if job.stage == "finetune"])


@app.command("compare")
@with_options("machine", placed(machine_of_comparison))
@with_options("options", run_options_of)
@with_options("question", Question)
def compare_verb(
    question: Question,
    machine: Machine,
    options: RunOptions,
    recipe: OptionalRecipe = None,
    store: StoreFolder = Path(),
    gate_file: GateFile = None,
) -> None:
    """Run the whole recipe: train, compare base with fine-tuned, and write the report. Finished jobs are reused.

    Without a recipe: compare what was fine-tuned elsewhere with --base, --adapter or --model, and --data.
    """
    compare(with_recipe(recipe or [], question), store, machine, options, gate_file)


@app.command("sweep")
@with_options("machine", placed(machine_of_comparison))
@with_options("options", sweep_options_of)
def sweep_verb(
    machine: Machine, options: RunOptions, recipe: RecipeArguments, store: StoreFolder = Path(), gate_file: GateFile = None
) -> None:
    """Same as compare, for a recipe with a sweep: runs every point, and shared jobs once; goes on without jobs that fail."""
    compare(recipe, store, machine, options, gate_file)


def compare(recipe: list[str], store: Path, machine: Machine, options: RunOptions, gate_file: Path | None) -> None:
    """Carry a recipe out, and show its report, judged by a gate where there is one."""
    from pipeline.commands import track_scores

    call = parse_call(recipe, store, machine, options)
    rules = load_gate(gate_file, call)
    call = settled(call)
    report = make_report(call)
    track_scores.send(report, call.site.store, machine)
    show_report(call, report, gate_file, rules)


@app.command("score")
@with_options("options", output_options_of)
@with_options("request", ScoreRequest)
@with_options("pairing", pairing_of)
def score_verb(
    request: ScoreRequest,
    pairing: dict[str, Any],
    options: RunOptions,
    store: StoreFolder = Path(),
    unsafe_code: UnsafeCode = False,
    gate_file: GateFile = None,
) -> None:
    """Compare predictions that exist already, in files: the same statistics, page and gate as compare, and no model.

    NAME=FILE: predictions of one model, and those of base, with which all others are compared. JSONL, CSV, TSV or Parquet with a column of
    answers, text with one answer a line, or a folder of predictions of loralift. Without a recipe: --data names the test rows. Samples of
    lm-evaluation-harness and logs of Inspect need neither.
    """
    call = parse_call(with_predictions(request, pairing), store, Machine(unsafe_code=unsafe_code), options)
    rules = load_gate(gate_file, call)
    show_report(call, make_report(call), gate_file, rules)


@app.command("report")
@with_options("options", report_options_of)
def report_verb(
    recipe: RecipeArguments,
    options: ReportOptions,
    store: StoreFolder = Path(),
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    unsafe_code: UnsafeCode = False,
    gate_file: GateFile = None,
) -> None:
    """Print the report of a finished comparison, and the path of its page."""
    from pipeline.commands import eval_export

    call = parse_call(recipe, store, Machine(unsafe_code=unsafe_code), RunOptions(limit=options.limit))
    rules = load_gate(gate_file, call)
    eval_export.check(options)
    missing = unfinished(call)
    if missing and options.is_partial and not gate_file:
        show_partial_report(call)
        return
    if missing:
        first = f"{missing[0].stage} {missing[0].label}"
        raise ArtifactError(
            f"no report yet for '{call.recipe.name}': at least {len(missing)} of {len(call.jobs)} jobs have not run, the first {first}",
            f"Run: loralift compare {' '.join(recipe)}. For the tasks that are finished: loralift report --partial {' '.join(recipe)}",
        )
    report = make_report(call)
    if show:
        typer.launch(str(ReportFolder(report.path).page))
    eval_export.write(out, call, report, options)
    show_report(call, report, gate_file, rules)


@app.command("export")
@with_options("machine", exporting_machine_of)
@with_options("choice", choice_of)
@with_options("request", request_of_export)
def export_verb(recipe: RecipeArguments, request: ExportRequest, choice: Choice, machine: Machine, store: StoreFolder = Path()) -> None:
    """Write an adapter, or a model with it merged in, to a folder for other programs, loaded back and measured first.

    An export that scores lower than its adapter by more than the margin is refused, with exit code 3, and nothing is left.
    """
    from pipeline.commands import export_choice, export_table
    from pipeline.export import destination, exporting

    destination.check(request.out)
    call = parse_call(export_choice.with_cut(recipe, choice), store, machine)
    tuned = export_choice.find(call, choice, " ".join(recipe))
    export_table.show(out, tuned, request, exporting.export(tuned, request, machine))


@app.command("push")
def push_verb(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="An export, as loralift export writes it.")],
    repo: Annotated[str, typer.Argument(metavar="REPO", help="OWNER/NAME on the hub; made if there is none.")],
    page: Annotated[Path | None, typer.Option("--page", help="A report.html to send with it; it holds the test examples.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Everyone can read it; without it a new repository is private.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking.")] = False,
) -> None:
    """Send an export to the Hugging Face hub: every file is named first, and sent once you say yes.

    The token is the hub's own: HF_TOKEN, or that of `hf auth login`.
    """
    from pipeline.commands import push

    push.push(out, folder, repo, public, page, yes)


@app.command("published")
def published_verb(what: Annotated[str | None, typer.Argument(metavar="[TASK|MODEL]", help="One task or one model of it.")] = None) -> None:
    """Show the published LoRA Land table: scores, averages, headline figures and how they are computed."""
    from pipeline.lora_land import view

    view.show(out, what)


@app.command("show")
def show_verb(
    what: Annotated[str, typer.Argument(metavar="KEY|PATH", help="A folder, or the start of a key.")], store: StoreFolder = Path()
) -> None:
    """Print the manifest and the provenance of an artifact."""
    views.show_artifact(out, store_at(store), what)


@app.command("ls")
def ls_verb(
    what: Annotated[str, typer.Argument(metavar="recipes|tasks|models|artifacts|results", help="What to list.")],
    store: StoreFolder = Path(),
) -> None:
    """List recipes, tasks, models, artifacts or results: every comparison with its date, scores and lift."""
    views.show_list(out, what, store_at(store))


app.command("diff")(result_diff.verb)
app.command("copy")(copy_artifacts.verb)


@app.command("schema")
def schema_verb() -> None:
    """Print the JSON schema of recipes, for editors.

    Write it to a file, and begin a recipe with `# yaml-language-server: $schema=FILE`.
    """
    from pipeline.config.json_schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=1))


@app.command("show-prompt")
def show_prompt_verb(
    recipe: RecipeArguments, store: StoreFolder = Path(), count: Annotated[int, typer.Option(min=1)] = 1, limit: Limit = None
) -> None:
    """Print training examples exactly as tokenized, with the tokens that carry loss highlighted.

    Without colour these are enclosed in [[ ]].
    """
    call = parse_call(recipe, store, Machine(), RunOptions(limit=limit))
    train = {source for job in call.jobs if job.stage == "finetune" for name, source in job.inputs if name == "train"}
    for job, artifact in carry_out(call, train).items():
        if job in train:
            views.show_prompt(out, job, artifact, count)


@app.command("verify")
def verify_verb(
    pages: Annotated[list[Path] | None, typer.Argument(metavar="[PAGE]...", help="report.html of comparisons, from anyone.")] = None,
    store: StoreFolder = Path(),
    unsafe_code: UnsafeCode = False,
    trust_code: Annotated[bool, typer.Option("--trust-code", help="Run tasks and metrics in Python that the page brings.")] = False,
    show_code: Annotated[bool, typer.Option("--show-code", help="Print that code, and run nothing.")] = False,
) -> None:
    """Check the hashes of all artifacts, or recompute a report page from the records embedded in it."""
    if not pages:
        views.verify_all(out, store_at(store))
    for page in pages or []:
        if len(pages or []) > 1:
            out.print(str(page), soft_wrap=True)
        if show_code:
            views.show_page_code(out, page)
            continue
        views.verify_page(out, page, store_at(store), Machine(unsafe_code=unsafe_code), trust_code)


@app.command("check")
def check_verb() -> None:
    """Load every shipped recipe, task and model row, and count them."""
    views.check_all(out)


@app.command("gc")
def gc_verb(
    others: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RECIPE|REPORT]...", help="Recipes of yours, or folders of reports, whose artifacts stay."),
    ] = None,
    store: StoreFolder = Path(),
    delete: Annotated[bool, typer.Option("--delete", help="Delete them; without it they are only listed.")] = False,
) -> None:
    """List, or delete, the artifacts that neither a shipped recipe nor a named one uses."""
    views.collect_garbage(out, store_at(store), delete, others or [], store / SMOKE_TESTS)


@app.command("serve")
@with_options("options", ServeOptions)
def serve_verb(
    models: Annotated[list[str], typer.Argument(metavar="RECIPE|ADAPTER...", help="A recipe, or adapters: FOLDER, hub id or NAME=FOLDER.")],
    options: ServeOptions,
    store: StoreFolder = Path(),
) -> None:
    """Serve a base and its adapters by model id, over OpenAI's API; requests for different adapters share a batch.

    Needs the packages of the extra `serve`, with --engine vllm those of `vllm`. Ids, keys and limits: docs/serve.md.
    """
    from pipeline.commands import serve_engines

    serve_engines.run(out, models, options, store)


@app.command("bench-serve")
@with_options("options", BenchOptions)
def bench_serve_verb(
    models: Annotated[list[str], typer.Argument(metavar="RECIPE|ADAPTER...", help="As of serve.")],
    options: BenchOptions,
    store: StoreFolder = Path(),
) -> None:
    """Measure latency and throughput of serve, against the numbers of clients and of adapters in use.

    It starts a server of its own and sends it the prompts of the test examples, or short texts.
    """
    from pipeline.commands import bench_serve, serve
    from pipeline.serving import server

    server.check_packages()
    with serve.served_models(models, options.served, store) as served:
        rows = bench_serve.measure(served, options, serve.torch_device(options.served))
        bench_serve.show(out, rows)
        if options.out:
            bench_serve.write(options.out, served, options, rows)


@app.command("doctor")
def doctor_verb(store: StoreFolder = Path()) -> None:
    """Check this machine: CUDA, 4 bit, memory, disk, hub."""
    from pipeline.commands import doctor

    doctor.examine(out, store)


def main() -> None:
    """The command `loralift`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character shows its escape
    try:
        ranks_verb.run(app)
    except UserError as error:
        show_error(error)
        sys.exit(getattr(error, "status", 2))
