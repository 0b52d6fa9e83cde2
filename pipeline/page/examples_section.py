"""Lists every held-out example with the answer of each arm and how it changed.

The page embeds examples.jsonl of `compare` unchanged; the browser unpacks a cell's file when it is shown.
"""

from collections import Counter
from collections.abc import Container, Sequence

from pipeline.measures.cell_types import Churn, CommonestAnswer, ComparisonRow, ExamplesRow, Run
from pipeline.metrics import words
from pipeline.page import embedded_records
from pipeline.page.cells import Cell
from pipeline.store.score_types import AnswerRow, ExampleRow

ZERO_ONE = ("fixed", "broken", "both right", "both wrong")
GRADED = ("gained", "lost", "equal")
TIE = 1e-9
"""Scores closer than this are equal: a mean over seeds differs in its last bits."""


def section(cell: Cell, primary: ComparisonRow, embedded_ids: Container[str]) -> ExamplesRow:
    """The examples of a cell in report.json.

    Args:
        primary: the judged comparison of base and tuned.
        embedded_ids: ids of the files that the page embeds.
    """
    rows = list(cell.comparison.examples())
    metric = primary["metric"]
    file_id = embedded_records.content_id(cell.comparison.examples_file.read_bytes())
    base = [float(row["base"]["scores"][metric]) for row in rows]
    tuned = [[float(arm["scores"][metric]) for arm in row["tuned"]] for row in rows]
    zero_one = all(score in (0.0, 1.0) for score in (*base, *(score for scores in tuned for score in scores)))
    changes = [change_class(before, after, zero_one) for before, after in zip(base, tuned, strict=True)]
    classes = ZERO_ONE if zero_one else GRADED
    gained = [row for row, name in zip(rows, changes, strict=True) if name == classes[0]]
    return {
        "n": len(rows),
        "zero_one": zero_one,
        "classes": counts_of(changes, zero_one),
        "churn": churn([(row["base"], answer) for row in rows for answer in row["tuned"]], metric) if zero_one else None,
        "by_arm": {arm: counted_changes(rows, arm, metric, zero_one) for arm in rows[0]["others"]},
        "gained_unread": sum(row["base"]["answer"] is None for row in gained),
        "runs": lift_by_seed(cell, base, tuned, primary),
        "commonest": commonest_answer(rows),
        "others": list(rows[0]["others"]),
        "file": file_id if file_id in embedded_ids else None,
        "folder": cell.inputs["comparison"].path.name,
    }


def counts_of(changes: Sequence[str], zero_one: bool) -> dict[str, int]:
    return {name: changes.count(name) for name in (ZERO_ONE if zero_one else GRADED)}


def counted_changes(rows: Sequence[ExampleRow], arm: str, metric: str, zero_one: bool) -> dict[str, int]:
    """How the examples change from another arm to the fine-tuned model; zero_one: of base and fine-tuned model."""
    pairs = [(float(row["others"][arm]["scores"][metric]), [float(run["scores"][metric]) for run in row["tuned"]]) for row in rows]
    return counts_of([change_class(before, after, zero_one) for before, after in pairs], zero_one)


def commonest_answer(rows: Sequence[ExampleRow]) -> CommonestAnswer | None:
    """What the fine-tuned model answers most often, over all training seeds; None where no answer could be parsed."""
    answers = [arm["answer"] for row in rows for arm in row["tuned"]]
    parsed = Counter(answer for answer in answers if answer is not None)
    if not parsed:
        return None
    ((answer, count),) = parsed.most_common(1)
    targets = Counter(row["target"] for row in rows)
    return {"answer": answer, "count": count, "answers": len(answers), "target_share": max(targets.values()) / len(rows)}


def change_class(base: float, tuned: list[float], zero_one: bool) -> str:
    """The class of an example by the change of its primary score; tuned: scores by seed, of which the mean counts."""
    gain = sum(tuned) / len(tuned) - base
    if abs(gain) > TIE:
        return (ZERO_ONE if zero_one else GRADED)[0 if gain > 0 else 1]
    if not zero_one:
        return GRADED[2]
    return ZERO_ONE[2] if base else ZERO_ONE[3]


def churn(pairs: Sequence[tuple[AnswerRow, AnswerRow]], metric: str) -> Churn:
    """Of pairs of answers to one example, before and after, those that are both wrong, and of them those where the later one is another
    wrong answer, case, Unicode and quotes aside; unparsable is none."""
    wrong = [(before["answer"], after["answer"]) for before, after in pairs if not before["scores"][metric] and not after["scores"][metric]]
    return {"wrong": len(wrong), "changed": sum(after is not None and (before is None or differ(before, after)) for before, after in wrong)}


def differ(one: str, other: str) -> bool:
    """Whether two answers are different ones, and not spellings of one as accuracy compares them."""
    return one != other and words.normalise(words.strip_wrappers(one)) != words.normalise(words.strip_wrappers(other))


def lift_by_seed(cell: Cell, base: list[float], tuned: list[list[float]], primary: ComparisonRow) -> list[Run] | None:
    """The lift of every seed; None if the metric is not the mean of its examples' scores (BLEU)."""
    before = sum(base) / len(base)
    after = [sum(scores) / len(scores) for scores in zip(*tuned, strict=True)]
    if abs(before - primary["base"]) > 1e-6 or abs(sum(after) / len(after) - primary["tuned"]) > 1e-6:
        return None
    return [{"seed": seed, "tuned": mean, "lift": mean - before} for seed, mean in zip(cell.seeds, after, strict=True)]
