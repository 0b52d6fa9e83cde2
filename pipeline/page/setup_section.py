"""Builds the set-up of a report: what was trained, on how many rows, with which settings and on which hardware."""

from collections.abc import Sequence
from typing import Any, TypedDict

from pipeline.data import rows_used as rows_module
from pipeline.measures.provenance_types import AdapterRow, ImportedAdapter, RowsUsed, Setup
from pipeline.page import endpoint_section, fmt, predictions_section
from pipeline.page.cells import Cell, swept
from pipeline.store.artifact import Artifact
from pipeline.store.records import JsonObject

MAX_TASKS = 6
"""Up to this many tasks with different numbers of rows, or adapters from elsewhere, are named."""
UNKNOWN = "unknown: trained elsewhere"
"""What stands for figures of a training that was not done here."""


def section(cells: list[Cell], adapters: dict[str, AdapterRow], recipe: JsonObject) -> Setup:
    """adapters: by short key, every training once."""
    price = recipe["cost"]["gpu_hour"]
    trained = [adapter for adapter in adapters.values() if adapter["imported"] is None]
    imported = [imported_text(adapter["imported"]) for adapter in adapters.values() if adapter["imported"]]
    imported += [endpoint_section.described(row) for cell in cells if (row := endpoint_section.section(cell))]
    seconds = sum(adapter["seconds"] or 0.0 for adapter in trained)
    files = [row for cell in cells for row in predictions_section.section(cell)]
    rows = {"".join(cell.inputs[name].key for name in cell.splits): rows_used(cell) for cell in cells}
    return {
        "bases": list(dict.fromkeys(cell.base for cell in cells)),
        "quantization": [] if files else values(recipe, "finetune.quantization" if trained else "generate.quantization"),
        **(hyperparameters(recipe, chosen(cells)) if trained else NOT_TRAINED),
        "steps": sorted({adapter["steps"] for adapter in trained if adapter["steps"] is not None}),
        "seeds": sorted({seed for cell in cells for seed in cell.seeds if cell.variant is None}),
        "rows": list(rows.values()),
        "hardware": list(dict.fromkeys(processor(artifact) for cell in cells for artifact in hardware_of(cell))),
        "adapters": len(trained),
        "imported": list(dict.fromkeys(imported)),
        "predictions": list(dict.fromkeys(f"{row['name']} ({row['file']})" for row in files)),
        "training_seconds": seconds,
        "seconds": sum({artifact.key: artifact.provenance["seconds"] for cell in cells for artifact in cell.inputs.values()}.values()),
        "hour_dollars": price,
        "training_dollars": None if price is None else price * seconds / 3600,
    }


def hardware_of(cell: Cell) -> list[Artifact]:
    """What says on which hardware a cell was made: its adapters, or where they are behind an endpoint the base's answers."""
    return [cell.inputs["base"]] if cell.is_behind_endpoint else cell.adapters


def imported_text(imported: ImportedAdapter) -> str:
    """What was fine-tuned elsewhere, in a few words."""
    whole = ", a whole model" if imported["kind"] == "model" else ""
    return f"{imported['variant']} ({imported['source']}{whole})"


class Hyperparameters(TypedDict):
    """The part of Setup that the recipe's section `finetune` decides."""

    rank: list[int]
    alpha: list[float]
    targets: list[str]
    learning_rate: list[float]
    epochs: list[int]


NOT_TRAINED: Hyperparameters = {"rank": [], "alpha": [], "targets": [], "learning_rate": [], "epochs": []}


def chosen(cells: Sequence[Cell]) -> dict[str, list[Any]]:
    """By tuned key the values that were chosen, each once."""
    values: dict[str, list[Any]] = {}
    for facts in (cell.inputs["selection"].facts for cell in cells if "selection" in cell.inputs):
        for key, value in facts["values"].items():
            values[key] = list(dict.fromkeys([*values.get(key, []), value])) if not isinstance(value, list) else [value]
    return values


def hyperparameters(recipe: JsonObject, tuned: dict[str, list[Any]]) -> Hyperparameters:
    """tuned: by tuned key the values that were chosen."""
    recipe = {**recipe, "sweep": {**swept(recipe), **tuned}} if tuned else recipe
    ranks, finetune = values(recipe, "finetune.rank"), recipe["finetune"]
    alphas = [finetune["alpha"] or ratio * rank for rank in ranks for ratio in values(recipe, "finetune.alpha_per_rank")]
    return {
        "rank": ranks,
        "alpha": values(recipe, "finetune.alpha") if "finetune.alpha" in swept(recipe) else list(dict.fromkeys(alphas)),
        "targets": [fmt.setting(value) for value in values(recipe, "finetune.targets")],
        "learning_rate": values(recipe, "finetune.learning_rate"),
        "epochs": values(recipe, "finetune.epochs"),
    }


def values(recipe: JsonObject, dotted: str) -> list[Any]:
    """The values of a recipe key: those of the sweep, or the one of the recipe."""
    section_name, _, key = dotted.partition(".")
    values_of_sweep = swept(recipe).get(dotted)
    return list(values_of_sweep) if values_of_sweep else [recipe[section_name][key]]


def rows_used(cell: Cell) -> RowsUsed:
    train = {} if cell.has_predictions_alone else cell.train_facts  # nothing was trained on them here
    heldout = cell.inputs["heldout"].facts
    return {
        "task": cell.task,
        "train": train.get("examples", 0),
        "train_available": train.get("rows"),
        "validation": train.get("dev", 0),
        "train_left_out": left_out(train),
        "test": heldout["examples"],
        "test_available": heldout.get("rows"),
        "test_left_out": left_out(heldout),
    }


def left_out(facts: JsonObject) -> dict[str, int]:
    """Rows that are not used by reason; empty where the number of rows is not known."""
    return rows_module.left_out(facts) if facts.get("rows") is not None and "dropped" in facts else {}


def processor(artifact: Artifact) -> str:
    """The GPU that it was made on, or the CPU where there was none."""
    gpu, cpu = artifact.provenance["gpu"], artifact.provenance["cpu"]
    return str(gpu["name"]) if gpu else f"{cpu['model']}, {cpu['cores']} cores"


def strip(setup: Setup) -> str:
    """The set-up in a line."""
    return " · ".join(text for _, text in lines(setup))


def lines(setup: Setup) -> list[tuple[str, str]]:
    """The set-up for people, each part with its name."""
    if setup["predictions"]:
        return [("Predictions", predictions_text(setup)), ("Rows", f"using {data_text(setup)}"), ("Time", time_text(setup))]
    quantization = " or ".join("not quantized" if value == "none" else str(value).upper() for value in setup["quantization"])
    return [
        ("Model", f"{', '.join(setup['bases'])}, {quantization}"),
        ("Adapter", adapter_text(setup)),
        ("Rows", f"using {data_text(setup)}"),
        ("Training", training_text(setup)),
        ("Hardware", " and ".join(setup["hardware"])),
        ("Time", time_text(setup)),
        ("Price", price_text(setup)),
    ]


def predictions_text(setup: Setup) -> str:
    """Which files are compared; of many how many."""
    files = setup["predictions"]
    return f"from elsewhere: {', '.join(files) if len(files) <= MAX_TASKS else fmt.plural(len(files), 'file')}; no model was loaded"


def adapter_text(setup: Setup) -> str:
    """How adapters are made here, and which come from elsewhere."""
    own = f"LoRA rank {several(setup['rank'])}, alpha {several(setup['alpha'])}, {' or '.join(setup['targets'])}"
    names = setup["imported"] if len(setup["imported"]) <= MAX_TASKS else [fmt.plural(len(setup["imported"]), "adapter")]
    elsewhere = f"trained elsewhere: {', '.join(names)}"
    return "; ".join([*([own] if setup["adapters"] else []), *([elsewhere] if names else [])])


def training_text(setup: Setup) -> str:
    if not setup["adapters"]:
        return UNKNOWN
    schedule = f"{several(setup['epochs'])} {'epoch' if setup['epochs'] == [1] else 'epochs'} ({span(setup['steps'])} steps)"
    seeds = f"{'seed' if len(setup['seeds']) == 1 else 'seeds'} {', '.join(map(str, setup['seeds']))}"
    return f"{schedule}, learning rate {several(setup['learning_rate'])}, {seeds}"


def time_text(setup: Setup) -> str:
    training, all_jobs = fmt.seconds(setup["training_seconds"]), fmt.seconds(setup["seconds"])
    return (f"{fmt.plural(setup['adapters'], 'adapter')} in {training}, " if setup["adapters"] else "") + f"all jobs {all_jobs}"


def price_text(setup: Setup) -> str:
    hour, training = setup["hour_dollars"], setup["training_dollars"]
    if hour is None or training is None:
        return "not known (set cost.gpu_hour)"
    total = hour * setup["seconds"] / 3600
    if not setup["adapters"]:
        return f"all jobs {fmt.dollars(total)}, at {fmt.dollars(hour)} an hour"
    return f"training {fmt.dollars(training)}, all jobs {fmt.dollars(total)}, at {fmt.dollars(hour)} an hour"


def data_text(setup: Setup) -> str:
    """Rows used of rows available: of all tasks where they are the same, else of each, or of many the smallest and largest numbers."""
    rows = setup["rows"]
    one_each = list({part_text(row): row for row in rows})
    if len(one_each) == 1:
        return one_each[0] + (" per task" if len({row["task"] for row in rows}) > 1 else "")
    if len(rows) <= MAX_TASKS:
        return "; ".join(f"{row['task']}: {part_text(row)}" for row in rows)
    return f"{rows_text(setup, 'train')} training rows and {rows_text(setup, 'test')} test rows per task"


def part_text(row: RowsUsed) -> str:
    """`2,000 of 3,000 training rows (and 100 for validation; left out: 900 not requested) and 500 of 600 test rows (left out: ...)`."""
    train, test = (rows_of([row], part) for part in ("train", "test"))
    if not row["train"]:
        return f"{test} test rows{beside(reasons(row['test_left_out']))}"
    validation = [f"and {fmt.count(row['validation'])} for validation"] if row["validation"] else []
    train_notes = beside([*validation, *reasons(row["train_left_out"])])
    return f"{train} training rows{train_notes} and {test} test rows{beside(reasons(row['test_left_out']))}"


def beside(notes: list[str]) -> str:
    return f" ({'; '.join(notes)})" if notes else ""


def reasons(counts: dict[str, int]) -> list[str]:
    return [rows_module.listed(counts)] if counts else []


def rows_text(setup: Setup, part: str) -> str:
    return rows_of(setup["rows"], part)


def rows_of(rows_used: list[RowsUsed], part: str) -> str:
    """Rows used, of those available where that is known."""
    rows: list[Any] = list(rows_used)
    used = span(sorted({row[part] for row in rows}))
    available = [row[f"{part}_available"] for row in rows]
    return used if None in available else f"{used} of {span(sorted(set(available)))}"


def span(numbers: list[int]) -> str:
    """The smallest and the largest number."""
    ends = list(dict.fromkeys((numbers[0], numbers[-1]))) if numbers else []
    return " to ".join(fmt.count(end) for end in ends)


def several(numbers: list[Any]) -> str:
    return ", ".join(map(fmt.setting, numbers))
