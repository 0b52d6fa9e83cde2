"""Lists the backends by name, and opens the one that a job asks for."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from pipeline.engine import transformers_backend
from pipeline.engine.backend import Backend
from pipeline.machine import Work

DEFAULT = "transformers"
BACKENDS: dict[str, Callable[[Work], AbstractContextManager[Backend]]] = {DEFAULT: transformers_backend.open_model}


def open_backend(work: Work) -> AbstractContextManager[Backend]:
    """The model of a job, with the adapter among its inputs; `backend` is in the params only if it is not the default."""
    return BACKENDS[work.params.get("backend", DEFAULT)](work)
