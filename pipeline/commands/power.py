"""Computes before a run what the held-out sets of a recipe can show: lifts, non-inferiority, and p-values out of reach of resampling."""

import textwrap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, log, log1p

from rich.console import Console

from pipeline import arms, metrics
from pipeline.data import inline
from pipeline.planning.job import Job
from pipeline.scoring import detectable
from pipeline.scoring.seed_variance import OWN_FLIPS, t_quantile
from pipeline.scoring.verdict import Correction
from pipeline.store import input_names
from pipeline.store.input_names import InputName

SMALL_LIFT = 0.02
"""A lift that is worth having and hard to see."""
DISCORDANCE = 0.2
"""Share of examples on which base and tuned are taken to differ."""
COLUMNS = 80


@dataclass(frozen=True)
class Family:
    """The claims of a recipe before its scores are known, and how they are judged together."""

    comparisons: tuple[Job, ...]
    confidence: float
    correction: Correction
    general_examples: int
    """Examples of each of the other tasks, as the recipe has it."""

    @property
    def claims(self) -> int:
        """The greatest possible number: an other-task suite on which the base has nothing to lose is not claimed."""
        return sum(arm_claim_count(job) + len(suites(job)) for job in self.comparisons)

    @property
    def resamples(self) -> int:
        return max(int(job.params["resamples"]) for job in self.comparisons)

    def tests(self, claims: int) -> int:
        """What the smallest p of so many claims is multiplied by."""
        return claims if self.correction == "holm" else 1

    @property
    def seeds(self) -> int:
        """Training seeds behind each fine-tuned score, the most of all comparisons."""
        return max(map(seed_count, self.comparisons))

    @property
    def level(self) -> float:
        """The p that the first claim to be shown needs: at Holm's first step the level of one claim over all claims."""
        return (1 - self.confidence) / self.tests(self.claims)

    def smallest_p(self, claims: int) -> float:
        """The smallest p that one of so many claims can have by randomization, after correction (stats.randomization)."""
        return self.tests(claims) / (self.resamples + 1)

    def is_out_of_reach(self, claims: int) -> bool:
        """Whether none of so many claims can be shown by randomization; compared as verdict.decide does."""
        return claims > 0 and self.smallest_p(claims) > 1 - self.confidence

    def needed_resamples(self, claims: int) -> int:
        """The fewest with which so many claims are not out of reach."""
        return ceil(self.tests(claims) / (1 - self.confidence)) - 1


@dataclass(frozen=True, order=True)
class SetSize:
    """Examples of a test set."""

    examples: int
    is_upper_bound: bool
    """Whether the set is not prepared yet and may turn out smaller."""

    def __str__(self) -> str:
        return f"{'<=' if self.is_upper_bound else ''}{self.examples:,}"


def family_of(report: Job) -> Family:
    """The claims that a report job judges; comparisons that points of a sweep share count once."""
    recipe = report.params["recipe"]
    comparisons = tuple(dict.fromkeys(job for _, job in report.inputs if job.stage == "compare"))
    judged = recipe["compare"]
    return Family(comparisons, judged["confidence"], judged["correction"], recipe["general"]["examples"])


def arm_claim_count(comparison: Job) -> int:
    """Claims of tuned over other arms: the lift, and the training effect where there is a baseline besides the base."""
    return 1 + has_baseline(comparison)


def has_baseline(comparison: Job) -> bool:
    """Whether a comparison has an arm besides the base that needs no training; the constant answer comes from the training examples."""
    return any(name.role == "train" or (name.role == "predictions" and name.arm in arms.untrained()) for name in names_of(comparison))


def names_of(comparison: Job) -> list[InputName]:
    return [input_names.parse(name) for name, _ in comparison.inputs]


def suites(comparison: Job) -> list[InputName]:
    """One input of a comparison for each other-task suite: the paragraphs' losses, or the examples of a task."""
    return [name for name in names_of(comparison) if name.suite and name.role in ("losses", "heldout")]


def is_randomized(comparison: Job) -> bool:
    """Whether its claims over arms are surely tested by randomization; grouped examples, not known yet, may make it so as well."""
    task = inline.from_spec(comparison.params["task"])
    return seed_count(comparison) > 1 or not metrics.load(task.metrics[0], **task.metric_options).zero_one


def seed_count(comparison: Job) -> int:
    """Training seeds whose mean is compared."""
    return sum(name.seed is not None for name in names_of(comparison))


def show(out: Console, report: Job, sizes: Mapping[Job, int], unprepared: Collection[Job]) -> None:
    """The lift that each size of test set can show, the examples that another task needs, and claims that nothing can show.

    Args:
        sizes: examples of every prepare job of held-out examples.
        unprepared: those among them whose size is only an upper bound, as the data may hold fewer.
    """
    family = family_of(report)
    set_sizes = {job: SetSize(examples, job in unprepared) for job, examples in sizes.items()}
    for line in (*lift_lines(family, set_sizes), *non_inferiority_lines(family, set_sizes), *resampling_warning(family)):
        out.print(line, soft_wrap=True)


def lift_lines(family: Family, sizes: Mapping[Job, SetSize]) -> Iterator[str]:
    """The smallest lift by size of test set, and the examples for a small one: for one claim alone, then in the family."""
    tasks_by_size: dict[SetSize, dict[str, None]] = {}
    for job in family.comparisons:
        tasks_by_size.setdefault(sizes[dict(job.inputs)["heldout"]], {})[inline.from_spec(job.params["task"]).name] = None
    at_best = any(size.is_upper_bound for size in tasks_by_size)
    yield wrapped(
        f"Minimum detectable lift (80 % power, alpha {1 - family.confidence:.3g}, base and fine-tuned differ on "
        f"{100 * DISCORDANCE:g} % of the test examples)"
        + ('; "<=": upper bound, not prepared yet, so the lift is a lower bound ("at best"):' if at_best else ":")
    )
    for size, names in sorted(tasks_by_size.items()):
        names_text = ", ".join(names) if len(names) < 4 else f"{len(names)} tasks"
        effect = detectable.planned_effect(size.examples, DISCORDANCE, family.confidence, seeds=family.seeds)
        effect_text = f"{100 * effect:4.1f} points" if effect < 1 else "    no lift"
        yield wrapped(f"{size!s:>8}  {effect_text}  {names_text}", " " * 23)
    yield needed_examples_line(family.confidence, family.seeds)
    if family.tests(family.claims) > 1:
        effect = detectable.planned_effect(min(tasks_by_size).examples, DISCORDANCE, 1 - family.level, seeds=family.seeds)
        bounded = f"{100 * effect:.1f} points at best" if at_best else f"up to {100 * effect:.1f} points"
        first_effect = bounded if effect < 1 else "no lift"
        yield wrapped(
            f"For a single test. With Holm correction over up to {family.claims:,} tests (first p {family.level:.2g}): {first_effect} on "
            f"the smallest of these sets."
        )
        yield needed_examples_line(1 - family.level, family.seeds)
    yield from seeds_lines(family)


def seeds_lines(family: Family) -> Iterator[str]:
    """What several training seeds cost: the figures above are for their mean, with an interval that covers other seeds."""
    if family.seeds == 1:
        return
    at_level = [f"{t_quantile(level, family.seeds):.3g}" for level in (1 - family.confidence, family.level)]
    quantiles = at_level[0] if family.tests(family.claims) == 1 else f"{at_level[0]}, at the first p {at_level[1]}"
    yield wrapped(
        f"The mean over {family.seeds} training seeds, for other seeds too: {family.seeds - 1} degrees of freedom, t {quantiles}. At best, "
        f"if seeds differ by {100 * OWN_FLIPS:g} % of these answers and not in skill. More seeds detect much smaller lifts; a single one "
        "leaves other seeds open."
    )


def needed_examples_line(confidence: float, seeds: int) -> str:
    needed = detectable.needed_examples(SMALL_LIFT, DISCORDANCE, confidence, seeds=seeds)
    return f"{needed:>8,}  {100 * SMALL_LIFT:4.1f} points  examples needed"


def non_inferiority_lines(family: Family, sizes: Mapping[Job, SetSize]) -> Iterator[str]:
    """How many examples of another task show that it is not worse if no answer changes, and a warning for tasks with fewer."""
    by_margin: dict[float, dict[Job, SetSize]] = {}
    for comparison in family.comparisons:
        jobs = dict(comparison.inputs)
        by_suite = by_margin.setdefault(comparison.params["margin"], {})
        heldout = [jobs[str(name)] for name in suites(comparison) if name.role == "heldout"]
        by_suite.update((job, sizes[job]) for job in heldout)
    family_text = f", Holm-corrected over {family.claims:,} tests" if family.tests(family.claims) > 1 else ""
    for margin, suite_sizes in by_margin.items():
        if not suite_sizes:
            continue
        needed = needed_for_non_inferiority(margin, family.level)
        yield wrapped(f"Non-inferiority on another task (margin {margin:g}) needs, if no answer changes{family_text}, at least")
        yield f"{needed:>8,} examples"
        if too_small := [size for size in suite_sizes.values() if size.examples < needed]:
            qualifier = "at least " if any(size.is_upper_bound for size in suite_sizes.values()) else ""
            shortfall = f"warning: {qualifier}{len(too_small)} of {len(suite_sizes)} have fewer, down to {min(too_small)}"
            yield wrapped(f"{shortfall} (general.examples={family.general_examples})")


def needed_for_non_inferiority(margin: float, level: float) -> int:
    """The smallest n of answers, none of which changes, that are shown to be within the margin.

    There the exact test, non_inferiority.Shift.kept, is P(Bin(n, margin) = 0) = (1 - margin)^n; it is not called, since it loads scipy.

    Args:
        level: of the two-sided p, which is twice the one-sided one of the test (claims.non_inferiority).
    """
    return ceil(log(level / 2) / log1p(-margin))


def out_of_reach(family: Family) -> tuple[str, str] | None:
    """Why no claim that is surely tested by randomization can be shown, with the remedy; None where one can be."""
    if not family.is_out_of_reach(family.claims):
        return None  # before the metrics are loaded, which takes seconds
    count = sum(arm_claim_count(job) for job in family.comparisons if is_randomized(job))
    if not family.is_out_of_reach(count):
        return None
    return (
        f"compare.resamples={family.resamples}: {count:,} of {family.claims:,} tests are by randomization, and their smallest p, "
        f"{corrected(family, count)}: none of them can be significant.",
        f"Set compare.resamples={family.needed_resamples(count)} or more.",
    )


def resampling_warning(family: Family) -> Iterator[str]:
    """The problem that out_of_reach finds; else a warning if claims that may be tested by randomization cannot be shown first."""
    if problem := out_of_reach(family):
        yield wrapped(f"warning, a run will be refused: {problem[0]} {problem[1]}")
    elif family.is_out_of_reach(family.claims):
        unless = " before others are" if family.correction == "holm" else ""
        yield wrapped(
            f"warning: compare.resamples={family.resamples}: the smallest p by randomization (grouped examples, several seeds or "
            f"scores between 0 and 1), {corrected(family, family.claims)}: no such test can be significant{unless}. "
            f"compare.resamples={family.needed_resamples(family.claims)} is enough."
        )


def corrected(family: Family, claims: int) -> str:
    """`corrected (holm), is 930/10001 = 0.093, above 0.05`."""
    p_value = f"{family.tests(claims)}/{family.resamples + 1} = {family.smallest_p(claims):.3g}"
    return f"corrected ({family.correction}), is {p_value}, above {1 - family.confidence:.3g}"


def wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, COLUMNS, subsequent_indent=indent, break_on_hyphens=False)
