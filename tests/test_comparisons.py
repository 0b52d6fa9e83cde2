"""The comparisons as `evaluate` modules: offline, by import and by folder."""

import importlib.resources

import evaluate
import pytest
import sacrebleu
from scipy.stats import binomtest

from pipeline import comparisons
from pipeline.errors import RecipeError

REFERENCES = ["the cat sat on the mat", "a dog ran home", "yes", "no", "red", "blue"] * 4
BASE = ["the cat sat on a mat", "a dog ran", "no", "no", "red", "green"] * 4
TUNED = ["the cat sat on the mat", "a dog ran off", "yes", "no", "pink", "blue"] * 4
ANSWERS = {"predictions1": BASE, "predictions2": TUNED, "references": REFERENCES}


def both_ways(name, **options):
    folder = str(importlib.resources.files("pipeline.comparisons") / name)
    return [comparisons.load(name), evaluate.load(folder, module_type="comparison", keep_in_memory=True, **options)]


def test_the_folders_are_the_comparisons():
    assert comparisons.names() == ["exact_mcnemar", "paired_bootstrap"]


def test_mcnemar_is_exact():
    for module in both_ways("exact_mcnemar"):
        assert module.compute(**ANSWERS) == {"p": pytest.approx(binomtest(12, 16).pvalue), "fixed": 12, "broken": 4}
        assert module.compute(**ANSWERS | {"predictions2": BASE}) == {"p": 1.0, "fixed": 0, "broken": 0}


def test_mcnemar_refuses_graded_scores():
    with pytest.raises(RecipeError, match="token_f1"):
        comparisons.load("exact_mcnemar").compute(**ANSWERS, metric="token_f1")


def test_bootstrap_takes_any_metric():
    by_import, by_folder = both_ways("paired_bootstrap")
    for metric in ("exact_match", "token_f1", "bleu"):
        result = by_import.compute(**ANSWERS, metric=metric)
        assert result == by_folder.compute(**ANSWERS, metric=metric)
        assert result["low"] < result["lift"] < result["high"]
        assert result["lift"] == pytest.approx(result["tuned"] - result["base"])
        assert 0 < result["p"] < 0.5
    assert result["base"] == pytest.approx(sacrebleu.corpus_bleu(BASE, [REFERENCES]).score / 100)


def test_bootstrap_settings_reach_the_module():
    narrow, wide = both_ways("paired_bootstrap", confidence=0.999, method="percentile")
    results = [module.compute(**ANSWERS) for module in (narrow, wide)]
    assert results[1]["low"] < results[0]["low"] < results[0]["high"] < results[1]["high"]


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(RecipeError, match="Did you mean 'exact_mcnemar'"):
        comparisons.load("mcnemar")
