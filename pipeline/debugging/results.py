"""Writes the repaired programs of an arm, what each round did, and the facts of its manifest."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipeline.debugging.loop import Session
from pipeline.store.folders import DebuggedFolder


def write(folder: DebuggedFolder, sessions: Sequence[Session]) -> dict[str, Any]:
    """Write the folder of a debugging stage; returns facts for the manifest."""
    folder.write_predictions(session.prediction for session in sessions)
    folder.write_rounds(row for session in sessions for row in session.rounds)
    rounds = Counter(len(session.rounds) for session in sessions)
    return {
        "examples": len(sessions),
        "without_tests": sum(not session.tests for session in sessions),
        "too_long": sum(session.too_long for session in sessions),
        "hidden_shown": sum(session.shows_hidden_tests for session in sessions),
        "visible_before": sum(session.passed_before == len(session.tests) for session in sessions if session.tests),
        "visible_after": sum(session.best_passed == len(session.tests) for session in sessions if session.tests),
        "repairs": sum(session.best is not None for session in sessions),
        "rounds": {str(number): rounds[number] for number in sorted(rounds)},
        "tokens": sum(session.prediction.tokens for session in sessions),
        "debugging_tokens": sum(session.tokens for session in sessions),
        "debugging_prompt_tokens": sum(session.prompt_tokens for session in sessions),
        "truncated": sum(session.prediction.stopped == "length" for session in sessions),
    }
