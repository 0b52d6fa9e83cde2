"""Asks Optuna which values to try next, by the validation losses of those before."""

import math
from importlib.util import find_spec
from typing import Any

from pipeline.config import sweeps
from pipeline.config.draws import Draw
from pipeline.config.recipe import whole_keys
from pipeline.config.tuning import Tune
from pipeline.errors import MachineError

STARTUP_SHARE, MAX_STARTUP = 3, 10
"""Trials at random before TPE has enough to go by: one in so many of all, and never more than Optuna's own default."""


class Sampler:
    """TPE over the ranges and lists of what is tuned. The same losses give the same values, so that a search that was killed goes on.

    Raises:
        MachineError: Optuna is not installed.
    """

    def __init__(self, tune: Tune) -> None:
        if find_spec("optuna") is None:
            raise MachineError("tune: sampler: tpe needs Optuna, which is not installed.", "Run: pip install 'loralift[tune]'")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.tune = tune
        self.whole = whole_keys(tune.values)
        self.ranges = {key: self.distribution(key, values) for key, values in tune.values.items()}
        startup = min(MAX_STARTUP, -(-tune.count // STARTUP_SHARE))
        seed = next(iter(tune.draws.values())).seed
        self.study = optuna.create_study(sampler=optuna.samplers.TPESampler(n_startup_trials=startup, seed=seed))
        self.latest: Any = None

    def distribution(self, key: str, values: Any) -> Any:
        """Optuna's description of the values that a key may take."""
        from optuna import distributions

        if not isinstance(values, Draw):
            return distributions.CategoricalDistribution(range(len(values)))  # places, since a value may be a list
        low, high = values.value(0, key in self.whole), values.value(1, key in self.whole)
        kind = distributions.IntDistribution if key in self.whole else distributions.FloatDistribution
        return kind(low, high, log=values.log_uniform is not None)

    def ask(self) -> sweeps.Point:
        """The values to try next."""
        self.latest = self.study.ask(self.ranges)
        return {key: self.value(key, self.latest.params[key]) for key in self.ranges}

    def value(self, key: str, number: Any) -> Any:
        """A value as a recipe would hold it."""
        values = self.tune.values[key]
        if not isinstance(values, Draw):
            return values[number]
        return number if key in self.whole else values.rounded(number)

    def tell(self, loss: float | None) -> None:
        """The validation loss of the values that were asked for last; None where training diverged."""
        self.study.tell(self.latest, math.inf if loss is None else loss)

    def stand_in(self, number: int) -> sweeps.Point:
        """Values for a trial that cannot be asked for yet: another one for every number."""
        share = (number + 0.5) / self.tune.count
        points = {key: draw.value(share, key in self.whole) for key, draw in self.tune.draws.items()}
        return {key: points[key] if key in points else values[number % len(values)] for key, values in self.tune.values.items()}
