"""Begins the training of an adapter to learn its validation loss, and leaves the rest to `finetune` or to a later trial.

The resume point stays, so what goes on from here trains no step twice, and ends with the same bytes as a training that nothing stopped.
"""

import math
from collections.abc import Mapping
from typing import Any

from pipeline.engine import ranks, training_state
from pipeline.errors import DivergedError, TrainingError
from pipeline.machine import Work
from pipeline.stages import finetune
from pipeline.store.artifact import PART
from pipeline.store.trial_folder import TrialFolder

VERSION = finetune.VERSION
NEEDS = finetune.NEEDS


def version(params: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]]) -> int | str:
    """That of the training which it begins, as they share a resume point."""
    return finetune.version(params, facts)


def run(work: Work) -> dict[str, Any]:
    """Raises TrainingError: there are no validation examples, or as finetune.advance() but for a training that diverges."""
    folder, part = TrialFolder(work.out), work.params[PART]
    with ranks.together(work), finetune.prepared(work) as (model, rows, weights):
        if not rows.dev:
            problem = f"values are chosen by the loss of validation examples, and of {len(rows.train):,} training examples none is one"
            raise TrainingError(problem, "Raise prepare.dev_examples, or give more training examples.")
        total = training_state.total_steps(len(rows.train), work.params)
        try:
            state, passes = finetune.advance(work, model, rows, weights, part)
        except DivergedError as error:
            steps = training_state.steps_of_part(total, part)
            folder.write_result({"steps": steps, "total_steps": total, "dev_loss": None, "fault": error.problem})
            return {"steps": steps, "dev_loss": None}
        state.save(work.resume)  # before the validation loss is looked at, which whoever goes on must not notice
        loss = dev_loss(state, passes, rows, work.params["keep"])
    training_state.write_curve(folder.curve_file, state.curve)
    fault = "" if math.isfinite(loss) else f"the validation loss is {loss}"
    measured_loss = None if fault else loss
    folder.write_result({"steps": state.step, "total_steps": total, "dev_loss": measured_loss, "fault": fault})
    return {
        "steps": state.step,
        "dev_loss": measured_loss,
        "kept_step": state.best.get("step", state.step) if work.params["keep"] == "best" else state.step,
        "train_seconds": round(state.seconds, 2),
        "tokens_per_second": round(state.tokens / state.seconds, 1),
    }


def dev_loss(state: training_state.TrainingState, passes: finetune.Passes, rows: finetune.TrainingData, keep: str) -> float:
    """The validation loss of the adapter that `finetune.keep` would keep now, in nats per token."""
    measured: float | None = state.curve[-1].get("dev_loss")
    now = passes.mean_loss(rows.dev, state.micro_tokens) if measured is None else measured
    return min(now, float(state.best["loss"])) if state.best and keep == "best" else now
