"""The command line with a resume point after every optimizer step, and time between them to be killed: python -m tests.saving_often."""

import time

from pipeline import cli
from pipeline.engine import ranks, training_state


class OftenSaver(training_state.PeriodicSaver):
    def __init__(self, folder, every_seconds):
        super().__init__(folder, every_seconds if every_seconds == ranks.NEVER else 0.0)

    def save_if_due(self, state):
        super().save_if_due(state)
        time.sleep(0.3)


if __name__ == "__main__":
    training_state.PeriodicSaver = OftenSaver
    cli.main()
