"""Counts the rows that are dropped by reason, and refuses a source with too many that cannot be used."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.data.files import shorten
from pipeline.errors import DataError

DRAW_FAULTS = ("chat template", "too long")
"""Of FAULTS those that only show when a row is rendered, which happens to as many rows as the draw looks at."""
FAULTS = ("malformed", "missing field", "wrong type", "bad value", "empty prompt", "empty target", *DRAW_FAULTS)
"""The reasons for which a row counts as bad. Duplicates and overlap are no fault of the source."""
VALUE_FAULTS = ("missing field", "wrong type", "bad value", "chat template")
"""Faults whose first value says what is wrong."""
MAX_LISTED = 5
MAX_REMEDIES = 3


@dataclass
class DropTally:
    """Rows that were dropped, by reason: how many, and locations and values of the first."""

    total: int
    reasons: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, reason: str, location: str, value: str, remedy: str = "") -> None:
        entry = self.reasons.setdefault(reason, {"count": 0, "first": [], "values": [], "remedies": {}})
        entry["count"] += 1
        entry["remedies"][remedy] = None
        if len(entry["first"]) < MAX_LISTED:
            entry["first"].append(location)
            entry["values"].append(shorten(value, 160).encode("utf-8", "backslashreplace").decode())

    def count(self, *reasons: str) -> int:
        return sum(self.reasons[reason]["count"] for reason in reasons if reason in self.reasons)

    def check_share(self, location: str, share: float, params: dict[str, Any]) -> None:
        """Raises DataError if a greater share of the rows is bad than the parameters of `prepare` allow."""
        allowed = params["max_bad_rows"]
        if share <= allowed:
            return
        missing_field = self.reasons.get("missing field", {"count": 0, "values": []})
        if missing_field["count"] == self.total and len(set(missing_field["values"])) == 1:
            remedy = "It may be another version of the data: pin its revision, or name the column that holds it now."
            raise DataError(f"{location}: in every one of its {self.total} rows {missing_field['values'][0]}.", remedy)
        bad = {reason: self.reasons[reason] for reason in FAULTS if reason in self.reasons}
        entries = [(n, reason, entry) for reason, entry in bad.items() for n in range(len(entry["first"]))]
        interleaved = sorted(entries, key=lambda item: item[0])[:MAX_LISTED]  # the first row of every reason before the second of any
        lines = [f"  {entry['first'][n]}: {reason}: {entry['values'][n]}" for n, reason, entry in interleaved]
        counts = ", ".join(f"{entry['count']} {reason}" for reason, entry in bad.items())
        problem = f"{location}: {share:.0%} of its {self.total} rows cannot be used ({counts}).\n" + "\n".join(lines)
        raise DataError(problem, self.remedy(bad, params, is_all=share >= 1))

    def remedy(self, bad: dict[str, Any], params: dict[str, Any], is_all: bool) -> str:
        """What to do about bad rows of these reasons.

        Args:
            is_all: whether they are all rows: then the key that allows more of them is no remedy.
        """
        length = [length_remedy(params).strip()] if "too long" in bad else []
        special = dict.fromkeys(remedy for entry in bad.values() for remedy in entry["remedies"])
        named = [remedy for remedy in special if remedy][:MAX_REMEDIES]
        is_named, defaults = bool(named) and "" not in special, defaults_remedy(bad, params)
        if is_all:
            is_enough = is_named or (length and set(bad) == {"too long"})
            return " ".join([*length, *named, *([] if is_enough else [f"Fix the rows{defaults}."])])
        more = f"{'Or raise' if is_named else 'Fix the rows, or raise'} prepare.max_bad_rows (it is {params['max_bad_rows']}){defaults}."
        return " ".join([*length, *named, more])

    def report(self) -> dict[str, Any]:
        return {why: {"count": entry["count"], "first": entry["first"], "value": entry["values"][0]} for why, entry in self.reasons.items()}

    def listed(self) -> str:
        """Every reason with its number, and of faults in a value the first: `4 bad value (label is 3)`."""
        first = {reason: f" ({shorten(self.reasons[reason]['values'][0])})" for reason in VALUE_FAULTS if reason in self.reasons}
        return ", ".join(f"{count} {reason}{first.get(reason, '')}" for reason, count in self.counts().items())

    def counts(self) -> dict[str, int]:
        return {reason: entry["count"] for reason, entry in self.reasons.items()}


def defaults_remedy(bad: dict[str, Any], params: dict[str, Any]) -> str:
    """What a task with templates can do about fields that rows lack."""
    is_lacking = {"missing field", "empty target"} & set(bad)
    return ", or give the field a default in a task of your own (defaults)" if is_lacking and not reads_columns(params["task"]) else ""


def reads_columns(task: Any) -> bool:
    """Whether the rows of a task are read without templates."""
    return isinstance(task, dict) and not (task.get("prompt", "-") or task.get("target"))


def length_remedy(params: dict[str, Any]) -> str:
    """What to do about rows that are too long, beyond what the recipe says already."""
    higher = f"Raise prepare.max_tokens (it is {params['max_tokens']})"
    if params["long_prompts"] == "cut_left":
        return f"{higher}: prompts are cut from the left already, but answers are never cut, nor turns of a conversation. "
    if params["long_prompts"] == "cut_field":
        return f"{higher}: what may be cut of a prompt is cut already, and its rest and the answer are too long. "
    if reads_columns(params["task"]):
        return f"{higher}, or set prepare.long_prompts to cut_left, which cuts prompts of a single turn, but never a conversation. "
    if isinstance(params["task"], dict) and not params["task"].get("cut"):
        return f"{higher}, or set prepare.long_prompts to cut_left, or name the column that may be cut (cut) and set it to cut_field. "
    return f"{higher}, or set prepare.long_prompts to cut_field, which keeps question and cue whole. "
