"""Prints the jobs of a run as they start and end: cached ones in one line, the time left, and each arm's score as soon as it is known."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal

from rich.console import Console
from rich.text import Text

from pipeline import arms, metrics, stages
from pipeline.commands.run_incomplete import cause_line
from pipeline.commands.verbs import traceback_file
from pipeline.data import inline
from pipeline.errors import UserError
from pipeline.page import fmt, training_section
from pipeline.planning.job import Job
from pipeline.progress import Terminal
from pipeline.scoring import scoring
from pipeline.store import input_names
from pipeline.store.artifact import Artifact
from pipeline.store.folders import AdapterFolder, HeldoutFolder, PredictionsFolder
from pipeline.store.trial_folder import TrialFolder

Detail = Literal["quiet", "normal", "verbose"]
BLOCKS = "▁▂▃▄▅▆▇█"
SPARKLINE_POINTS = 12
INDENT = " " * 10


class RunLog:
    """Call it for every event of a run; see runner.run()."""

    def __init__(self, out: Console, jobs: Sequence[Job], detail: Detail) -> None:
        self.out = out
        self.jobs = jobs
        self.numbers = {job: number for number, job in enumerate(jobs, 1)}
        self.stages_left = Counter(job.stage for job in jobs)
        self.detail = detail
        self.start = time.monotonic()
        self.cached = 0
        self.artifacts: dict[Job, Artifact] = {}
        self.seconds: dict[str, list[float]] = defaultdict(list)
        """By stage, the durations of the jobs that this run made."""

    def __call__(self, event: str, job: Job, artifact: Artifact | None) -> None:
        if artifact is not None:
            self.artifacts[job] = artifact
            self.stages_left[job.stage] -= 1
        if event == "have":
            self.cached += 1
        if self.detail == "quiet":
            return
        number = f"[{self.numbers[job]}/{len(self.jobs)}]"
        if artifact is None:
            self.print_cached()
            self.out.print(Text.assemble((f"{number:>9}", "dim"), " ", (f"{job.stage:{stages.NAME_WIDTH}}", "bold"), f" {job.label}"))
        elif event == "done":
            self.seconds[job.stage].append(artifact.provenance["seconds"])
            for line in (*self.results(job, artifact), self.times(artifact)):
                self.out.print(Text(f"{INDENT}{line}", "dim"), soft_wrap=True)
        elif self.detail == "verbose":
            self.out.print(Text(f"{number:>9} {job.stage:{stages.NAME_WIDTH}} {job.label}  cached", "dim"))

    def say(self, text: str) -> None:
        """A line that is of no job."""
        if self.detail != "quiet":
            self.out.print(Text(f"{INDENT}{text}", "dim"), soft_wrap=True)

    def tell_failure(self, job: Job, error: BaseException, number: int) -> None:
        """A line on a job that failed, whatever the detail; of an error of ours also where its traceback is.

        Args:
            number: of the further try that follows; 0: none does.
        """
        self.print_cached()
        what = f"failed, try {number + 1} follows" if number else "failed"
        line = f"{job.stage} {job.label} {what}: {cause_line(error)}"
        if not isinstance(error, UserError) and not number:
            line += f" (the traceback: {traceback_file(error)})"
        Terminal(stderr=True).print(Text(f"{f'[{self.numbers[job]}/{len(self.jobs)}]':>9} {line}", "red"), soft_wrap=True)

    def finish(self) -> None:
        """Say how many jobs were cached, unless that was said."""
        self.print_cached()

    def print_cached(self) -> None:
        if self.cached and self.detail == "normal":
            number = f"all {fmt.plural(len(self.jobs), 'job')}" if self.cached == len(self.jobs) else fmt.plural(self.cached, "job")
            self.out.print(Text(f"{INDENT}{number} cached", "dim"))
        self.cached = 0

    def times(self, artifact: Artifact) -> str:
        """How long a job took, how long the run has taken, and how long it may still take."""
        text = f"done in {artifact.provenance['seconds']:.1f} s"
        if (rate := artifact.facts.get("tokens_per_second")) is not None:
            text += f", {fmt.count(rate)} tok/s"
        if (peak := (artifact.provenance.get("peak") or {}).get("cuda")) is not None:
            text += f", peak {fmt.size(peak)} of GPU memory"
        text += f"; run: {clock(time.monotonic() - self.start)}"
        left = self.seconds_left()
        return text if left is None else f"{text}, about {clock(left)} left"

    def seconds_left(self) -> float | None:
        """By the mean duration of the finished jobs of each stage; None where a stage to come has not run yet."""
        left = {stage: count for stage, count in self.stages_left.items() if count}
        if not left or any(stage not in self.seconds for stage in left):
            return None
        return sum(count * fmean(self.seconds[stage]) for stage, count in left.items())

    def results(self, job: Job, artifact: Artifact) -> list[str]:
        """What a finished job shows already: the loss curve of an adapter, or the score of an arm."""
        if job.stage == "trial":
            return [trial_line(artifact)]
        if job.stage == "select":
            return [f"chosen: {fmt.coordinates(artifact.facts['values'])}"]
        if job.stage == "finetune":
            return [loss_line(artifact, "utf" in (self.out.encoding or "").lower())]
        answers = job.stage in ("generate", "import_predictions")
        return [line] if answers and (line := score_line(job, artifact, self.jobs, self.artifacts)) else []


def trial_line(trial: Artifact) -> str:
    """`validation 0.0412 after 25 steps`, or why it diverged."""
    result = TrialFolder(trial.path).result()
    loss = result["fault"] if result["dev_loss"] is None else f"validation {result['dev_loss']:.4f}"
    return f"{loss} after {result['steps']} of {fmt.plural(result['total_steps'], 'step')}"


def loss_line(adapter: Artifact, can_draw: bool) -> str:
    """`loss 7.00 ▇▃▂▁ 0.09, validation 0.04, best step 125`."""
    losses = [loss for _, loss in training_section.curve(AdapterFolder(adapter.path).curve_file, SPARKLINE_POINTS)["train"]]
    if not losses:
        return "no optimizer step"
    lowest, highest = min(losses), max(losses)
    scaled = [int((len(BLOCKS) - 1) * (loss - lowest) / (highest - lowest or 1)) for loss in losses]
    drawing = f" {''.join(BLOCKS[level] for level in scaled)} " if can_draw else " to "
    text = f"loss {losses[0]:.2f}{drawing}{losses[-1]:.2f}"
    if adapter.facts.get("dev_loss") is not None:
        text += f", validation {adapter.facts['dev_loss']:.2f}, best step {adapter.facts['kept_step']}"
    return text


def score_line(job: Job, artifact: Artifact, jobs: Sequence[Job], artifacts: Mapping[Job, Artifact]) -> str:
    """The arm's score on its own task, `accuracy 0.16, 63 % unparsable`; empty where that is not known without running programs."""
    for comparison in (other for other in jobs if other.stage == "compare"):
        inputs = dict(comparison.inputs)
        name = next((input_names.parse(text) for text, source in inputs.items() if source == job), None)
        heldout = artifacts.get(inputs["heldout"])
        if name is None or name.suite or heldout is None:
            continue
        task = inline.from_spec(comparison.params["task"])
        metric = metrics.load(task.metrics[0], **task.metric_options)
        predictions = PredictionsFolder(artifact.path).predictions()
        if metric.runs_code or metric.reads not in ("answer", "text") or not predictions:
            return ""
        examples = HeldoutFolder(heldout.path).examples()
        arm = scoring.read_arm(name.arm, predictions, examples, task.answer)
        score = metric.aggregate(scoring.measure(metric, [arm], examples, task.answer).statistics[0].sum(axis=0))
        unparsed = arm.counts()["unparsed"]
        share = f", {100 * unparsed / len(examples):.0f} % unparsable" if unparsed else ""
        return f"{arms.find(name.arm, task.constraint).label}: {fmt.metric(metric.name)} {float(score):.2f}{share}"
    return ""


def clock(seconds: float) -> str:
    """`1:02:03` or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
