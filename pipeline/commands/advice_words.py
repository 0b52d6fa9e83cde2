"""Puts a forecast into sentences: why it recommends what it does, where its evidence does not fit, and what it rests on"""

from collections.abc import Iterator

from rich.text import Text

from pipeline import arms
from pipeline.arms import Constraint
from pipeline.lora_land import expected_lift
from pipeline.measures import recommendation
from pipeline.page import fmt
from pipeline.store.forecast import FINE_TUNE, MORE_DATA, PROMPT_FIRST, PROMPT_SUFFICES, ArmForecast, Forecast, Range

STYLES = {FINE_TUNE: "bold green", PROMPT_FIRST: "bold yellow", MORE_DATA: "bold red", PROMPT_SUFFICES: "bold yellow"}
LARGE_SHARE = 0.1
"""Share of duplicates of test prompts from which on the split is doubted."""
PUBLISHED_METRICS = ("accuracy", "exact_match", "rougeL", "mae_similarity", "pass_at_1")
"""Metrics of the kinds that the paper has."""


def headline(forecast: Forecast, constraint: Constraint) -> Text:
    """The recommendation in a few words."""
    kind = forecast["recommendation"]
    who = "a constant answer" if forecast["best"] == "constant" else "the prompt"
    words = {
        FINE_TUNE: "fine-tune",
        PROMPT_FIRST: f"try {arms.find(forecast['best'], constraint).sentence} first",
        MORE_DATA: "not enough data yet",
        PROMPT_SUFFICES: f"{who} already solves it",
    }
    return Text(words[kind], STYLES[kind])


def best_arm(forecast: Forecast) -> ArmForecast:
    return next(arm for arm in forecast["arms"] if arm["name"] == forecast["best"])


def score_text(arm: ArmForecast) -> str:
    """`0.44 [0.31, 0.58]`."""
    return f"{fmt.number(arm['score'])} [{fmt.number(arm['low'])}, {fmt.number(arm['high'])}]"


def reasons(forecast: Forecast, constraint: Constraint) -> Iterator[str]:
    """Why that is recommended, and what the test set can show."""
    best, expected = best_arm(forecast), fmt.number(forecast["tuned"]["middle"])
    sentence = arms.find(best["name"], constraint).sentence
    scores = f"{sentence[0].upper()}{sentence[1:]} scores {score_text(best)}"
    match forecast["recommendation"]:
        case "prompt suffices":
            yield f"{scores} without training, so there is little left to gain."
            if best["name"] == "constant":
                yield "Answers that need no model score that much: look for harder examples or another metric before you train."
        case "prompt first":
            yield f"{scores}; fine-tuning is expected to reach {expected}. It needs no training: fine-tune if it is not enough."
        case "more data first":
            yield from shortages(forecast)
        case _:
            yield f"{scores}, more than any other arm without training; fine-tuning is expected to reach {expected}."
            if forecast["effect"]["low"] <= 0:
                yield f"It may also bring nothing over {sentence}: the interval reaches below zero."
    yield from power(forecast)


def shortages(forecast: Forecast) -> Iterator[str]:
    """What there is too little of."""
    data, best = forecast["data"], best_arm(forecast)
    if data["sample"] < recommendation.MIN_SAMPLE:
        yield (
            f"The base answered {fmt.plural(data['sample'], 'example')}, which says little about its score; "
            f"{recommendation.MIN_SAMPLE} or more are needed."
        )
    if data["train"] < recommendation.MIN_TRAIN:
        yield (
            f"{fmt.plural(data['train'], 'training example')}: by a rule of thumb, fewer than {recommendation.MIN_TRAIN} teach the form of "
            "the answers and little else."
        )
    room = forecast["tuned"]["high"] - best["score"]
    smallest = recommendation.smallest_effect(room, data["test"], forecast["confidence"], forecast["seeds"])
    if room <= smallest:
        yield (
            f"{fmt.plural(data['test'], 'test example')} detect effects of {fmt.number(smallest)} or more (80 % power), and not even the "
            f"high end, {fmt.signed(room, 2)}, is that large."
        )


def power(forecast: Forecast) -> Iterator[str]:
    """The minimum detectable effect, where it matters for the expected one."""
    effect, smallest = forecast["effect"]["middle"], forecast["smallest_effect"]
    if forecast["recommendation"] in (FINE_TUNE, PROMPT_FIRST):
        tests = f"The {fmt.plural(forecast['data']['test'], 'test example')} detect effects of {fmt.number(smallest)} or more (80 % power)"
        likely = f", and {fmt.signed(effect, 2)} is expected: the verdict may well be inconclusive." if effect < smallest else "."
        yield tests + likely


def cautions(forecast: Forecast) -> Iterator[str]:
    """Where the evidence does not fit, and what may be wrong with the data."""
    data, parameters = forecast["data"], forecast["parameters"]
    low, high = expected_lift.PARAMETERS
    if parameters is not None and not low <= parameters <= high:
        yield (
            f"The evidence is of bases of 2.5B to 8.5B parameters, and this one has {size(parameters)}: the interval may not hold for it."
        )
    if data["train"] < expected_lift.FEWEST_EXAMPLES:
        yield (
            f"The evidence is of {expected_lift.FEWEST_EXAMPLES} training rows and more, and here are {data['train']:,}: expect the lower "
            "part of the interval."
        )
    if forecast["metric"] not in PUBLISHED_METRICS and not forecast["metric"].startswith("paper_"):
        yield f"The evidence is of accuracy, ROUGE-L, distance and pass@1; none is of {fmt.metric(forecast['metric'])}."
    if count := data["duplicates"] + data["near_duplicates"]:
        doubt = " So many say that the split is not by source: check it." if count >= LARGE_SHARE * data["looked_at"] else ""
        exact, near = fmt.plural(data["duplicates"], "exact duplicate"), fmt.plural(data["near_duplicates"], "near-duplicate")
        yield f"{exact} and {near} of test prompts among {data['looked_at']:,} training rows; they are left out.{doubt}"
    if data["shared_groups"]:
        yield f"{fmt.plural(data['shared_groups'], 'training example')} come from source documents of test examples."


def size(parameters: float) -> str:
    """`7.2B`, `4.1M`."""
    return f"{parameters / 1e9:.1f}B" if parameters >= 1e9 else f"{parameters / 1e6:.1f}M"


def data_lines(forecast: Forecast, constraint: Constraint) -> Iterator[str]:
    """How much data there is, the figures of its texts, and what was not tested on them."""
    data = forecast["data"]
    prompt, target = data["prompt_tokens"], data["target_tokens"]
    yield f"{data['train']:,} training, {data['validation']:,} validation and {data['test']:,} test examples."
    yield (
        f"Prompts have {prompt['mean']:.0f} tokens (longest {prompt['max']:,}), targets {target['mean']:.0f} (longest {target['max']:,}). "
        f"Compressed to {100 * data['compressibility']:.0f} %; targets overlap with their prompts by ROUGE-L {fmt.number(data['overlap'])}."
    )
    if untested := [f"{arms.find(row['arm'], constraint).label} ({row['why']})" for row in forecast["untested"]]:
        yield f"Not tested: {'; '.join(untested)}."
    if data["sampled_train"]:
        yield f"{fmt.plural(data['sampled_train'], 'training example')} were answered too, since there are few for validation."


def grounds(forecast: Forecast) -> Iterator[str]:
    """What the interval rests on, and how well it held there."""
    evidence = forecast["evidence"]
    shares = evidence["shares"]
    span = f"{100 * shares['low']:.0f} to {100 * shares['high']:.0f} %"
    yield (
        f"{evidence['cells']} lifts on {evidence['tasks']} tasks ({evidence['source']}): fine-tuning closed {span} of the gap between the "
        f"base's score and 1, {100 * shares['middle']:.0f} % in the middle. Forecast from the other tasks, "
        f"{100 * evidence['coverage']:.0f} % of them lay in the interval; yours may not."
    )
    if forecast["published"]:
        low, high = forecast["published"]
        yield f"On this task the ten published bases reached {fmt.number(low)} to {fmt.number(high)}, by the paper's rules of scoring."


def signed_range(value: Range) -> str:
    return f"{fmt.signed(value['middle'], 2)} [{fmt.signed(value['low'], 2)}, {fmt.signed(value['high'], 2)}]"


def range_text(value: Range) -> str:
    return f"{fmt.number(value['middle'])} [{fmt.number(value['low'])}, {fmt.number(value['high'])}]"
