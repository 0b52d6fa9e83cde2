"""Ends a run inside one of the product's calls, as SIGKILL would, and records the calls of the run that goes on."""

from contextlib import contextmanager, nullcontext

import pytest


class Killed(BaseException):
    """Stands for SIGKILL inside one process."""


@contextmanager
def calls_of(owner, name, kill_at=None):
    """The arguments of every call of a function while the context lasts.

    Args:
        kill_at: number of the call, from 1, in which the context must end; None: in none.
    """
    real, calls = getattr(owner, name), []

    def recorded(*args):
        calls.append(args)
        if len(calls) == kill_at:
            raise Killed
        return real(*args)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed) if kill_at else nullcontext():
        patch.setattr(owner, name, recorded)
        yield calls


def assert_resumes_with_equal_bytes(train, root):
    """Train without a kill, and killed in several optimizer steps until it is through: both must end with the same bytes.

    Args:
        train: takes the folder to write into; saves a resume point at every step.
    """
    from pipeline.stages import finetune

    train(root / "whole")
    for kill_at in (2, 5, 3):
        with calls_of(finetune, "optimizer_step", kill_at):
            train(root / "broken")
    train(root / "broken")
    for name in ("adapter_model.safetensors", "curve.csv", "adapter_config.json"):
        assert (root / "whole" / name).read_bytes() == (root / "broken" / name).read_bytes()
