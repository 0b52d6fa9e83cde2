"""Says of a fine-tuned model behind an endpoint what is known of it, and what is not."""

from urllib.parse import urlsplit

from pipeline.measures.provenance_types import EndpointVariant
from pipeline.page.cells import Cell


def section(cell: Cell) -> EndpointVariant | None:
    """What is known of the model; None where it is no model behind an endpoint."""
    if not cell.is_behind_endpoint:
        return None
    answers = cell.tuned_predictions[0]
    facts = answers.facts
    return {
        "name": str(cell.variant),
        "host": urlsplit(answers.params["endpoint"]).netloc.rpartition("@")[2],
        "model": answers.params["model"],
        "served": facts["served"],
        "requests": facts["requests"],
        "refused": facts["refused"],
        "prompt_tokens": facts["prompt_tokens"],
        "completion_tokens": facts["completion_tokens"],
        "usage": facts["usage"],
    }


def described(row: EndpointVariant) -> str:
    """`mine (gpt-4o behind api.openai.com)`."""
    return f"{row['name']} ({row['model']} behind {row['host']})"


def unknown_warning(cell: Cell) -> str:
    """What is unknown of it; empty for any other."""
    row = section(cell)
    if row is None:
        return ""
    several = f" Its answers name several models: {', '.join(row['served'])}." if len(row["served"]) > 1 else ""
    return (
        f"Of {described(row)} nothing is known but its answers: neither its weights and their quantization, nor its chat template and "
        f"batches, nor whether it is a fine-tune of the base. What counts as its lift may be that of another model.{several}"
    )


def not_measured_note(cell: Cell) -> str:
    """What is not measured of it; empty for any other."""
    if not cell.is_behind_endpoint:
        return ""
    return (
        f"The weights of {cell.variant} are not here: there is no adapter sanity check, and latency, cost, prompt relevance and "
        "regressions on other tasks were not measured. It got the same prompts as the base, as messages."
    )
