"""Turns the arguments of `loralift serve` into what is served: the base and the adapters of a recipe, and adapters from elsewhere."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.commands.call import Call, find_artifact, parse_call, parse_override
from pipeline.commands.options import known_device
from pipeline.commands.quick_recipe import variant_name
from pipeline.commands.serve_examples import example_sets, thinkers
from pipeline.commands.serve_options import KEY_VARIABLE, ServeOptions
from pipeline.commands.serve_scratch import scratch
from pipeline.config import recipe as recipes
from pipeline.config import recipe_files
from pipeline.config.recipe import Recipe
from pipeline.errors import ArtifactError, ModelError, RecipeError
from pipeline.machine import Machine
from pipeline.models import adapter_fit, adapter_source, base_model
from pipeline.page import served_page
from pipeline.planning.job import Job
from pipeline.planning.task_plan import Lookup, Point
from pipeline.progress import say
from pipeline.serving.adapter_tensors import tensor_names
from pipeline.serving.example_sets import ExampleSet
from pipeline.serving.local_page import LocalPage
from pipeline.serving.server import ServedModels
from pipeline.store.artifact import ADAPTER_STAGES, Artifact


@contextmanager
def served_models(arguments: list[str], options: ServeOptions, store: Path) -> Iterator[ServedModels]:
    """What the arguments name. Adapters from elsewhere are checked and copied, so that nothing changes them while they are served.

    Args:
        arguments: a recipe, adapters as FOLDER, hub id or NAME=FOLDER, and KEY=VALUE for keys of recipes, in any order.

    Raises:
        RecipeError, ModelError, ArtifactError: there is no adapter, or one that cannot be served.
    """
    overrides, names = sorted_arguments(arguments)
    recipe_names = [name for name in names if is_recipe(name)]
    adapters = named_adapters([name for name in names if name not in recipe_names])
    if len(recipe_names) > 1:
        raise RecipeError(f"two recipes: {recipe_names[0]} and {recipe_names[1]}; one base is served.", "Name one of them.")
    if recipe_names and options.base:
        raise RecipeError("--base is for adapters without a recipe.", f"Write base={options.base} behind the recipe.")
    if not names:
        raise RecipeError("nothing to serve.", "Name a recipe, as quickstart, or the folder of an adapter.")
    folders: dict[str, Path] = {}
    sets: list[ExampleSet] = []
    thinking: frozenset[str] = frozenset()
    if recipe_names:
        call = parse_call([*recipe_names, *overrides], store, Machine())
        recipe, params = call.recipe, one_loading(call.recipe, Lookup(True, call.site.store.hashes))
        ids = trained_adapters(call, recipe_names[0], bool(adapters))
        folders = {name: artifact.path for name, artifact in ids.values()}
        names_of = {job: name for job, (name, _) in ids.items()}
        sets, thinking = example_sets(call, names_of), thinkers(call, names_of)
    else:
        recipe = recipe_of(options.base or named_base(adapters), overrides)
        params = one_loading(recipe, Lookup())
    base = base_id(recipe.base)
    check_ids(base, [*folders, *adapters])
    with scratch() as copies:
        for name, place in adapters.items():
            folders[name] = checked_copy(place, params["model"], copies / str(len(folders)))
        for name, folder in folders.items():
            check_adapter(name, folder, options.max_rank)
        check_together(folders)
        yield ServedModels(base, params, folders, LocalPage(*served_page.page(), sets), thinking)


def sorted_arguments(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Those that set a key of a recipe, and the others."""
    keys = recipes.dotted_keys()
    overrides = [text for text in arguments if "=" in text and text.partition("=")[0] in keys]
    return overrides, [text for text in arguments if text not in overrides]


def is_recipe(name: str) -> bool:
    """Whether an argument names a recipe: a YAML file, or one that ships."""
    return name.endswith((".yaml", ".yml")) or (not os.path.isdir(name) and recipe_files.shipped_as(Path(name)) is not None)


def named_adapters(arguments: list[str]) -> dict[str, str]:
    """Folder or hub id by id: the name before an equals sign, or the last part of a folder, or the hub id itself. Raises RecipeError."""
    adapters: dict[str, str] = {}
    for text in arguments:
        name, equals, place = text.partition("=")
        if not equals:
            place = text
            name = variant_name(text) if os.path.isdir(text) else text.partition("@")[0]
        if not name or not place:
            raise RecipeError(f"'{text}' is neither ADAPTER nor NAME=ADAPTER.", "Write legal=out/checkpoint-300.")
        if name in adapters:
            raise RecipeError(f"two adapters are called {name}.", f"Name them: first={adapters[name]} second={place}")
        adapters[name] = place
    return adapters


def check_ids(base: str, names: list[str]) -> None:
    """Raise RecipeError if a request could not tell two models apart."""
    twice = [name for index, name in enumerate(names) if name == base or name in names[:index]]
    if twice:
        raise RecipeError(f"two models are called {twice[0]}.", f"Name the adapter, as mine-{twice[0]}=FOLDER.")


def base_id(base: str) -> str:
    """The id of a base: its name in the recipe; of a folder the last part."""
    return base_model.folder_prefix(base) if os.path.isdir(base) else base


def recipe_of(base: str, overrides: list[str]) -> Recipe:
    """A recipe that says no more than how a base is loaded and prompted. Raises RecipeError for an override that is wrong."""
    keys = {"name": "serve", "base": base, "tasks": ["shop_sentiment"]}
    return recipes.build(recipes.override(keys, dict(map(parse_override, overrides))), "serve")


def named_base(adapters: dict[str, str]) -> str:
    """The base that adapters name in their settings.

    Raises:
        RecipeError: they name none, or several.
        ModelError: there is no such adapter.
    """
    bases: dict[str, str] = {}
    for name, place in adapters.items():
        config = adapter_source.read_config(adapter_source.local_folder(adapter_source.find(place)))
        bases[str(config.get("base_model_name_or_path") or "")] = name
    if len(bases) > 1:
        (first, one), (second, other) = list(bases.items())[:2]
        raise RecipeError(
            f"{one} was trained on {first or 'no named base'}, and {other} on {second or 'none'}.", "Name the one with --base."
        )
    (base,) = bases
    if not base:
        raise RecipeError(f"{next(iter(adapters))} does not name its base (base_model_name_or_path).", "Name it with --base.")
    return base


def one_loading(recipe: Recipe, lookup: Lookup) -> dict[str, Any]:
    """How the base of a recipe is loaded where it answers: model, quantization and compute.

    Raises:
        RecipeError: a sweep loads it in several ways.
        ModelError: there is no such base.
    """
    loadings: list[dict[str, Any]] = []
    for _, point_recipe in recipe.points():
        loading = Point(point_recipe, lookup, recipe).loading
        loadings += [loading] if loading not in loadings else []
    if len(loadings) > 1:
        keys = [key for key in loadings[0] if loadings[0][key] != loadings[1][key]]
        raise RecipeError(f"{recipe.name} sweeps its {keys[0]}, and one base is served.", "Choose one, as base=NAME behind the recipe.")
    return loadings[0]


def trained_adapters(call: Call, recipe: str, has_others: bool) -> dict[Job, tuple[str, Artifact]]:
    """The adapters of a recipe that are here, with their ids; placebos are left out.

    Args:
        recipe: as named, for messages.
        has_others: whether there are adapters beside those of the recipe.

    Raises:
        ArtifactError: none is here.
    """
    jobs = [job for job in call.jobs if job.stage in ADAPTER_STAGES and "placebo" not in job.params]
    artifacts = {job: artifact for job in jobs if (artifact := find_artifact(call, job))}
    missing = [job.label for job in jobs if job not in artifacts]
    if not artifacts and not has_others:
        what = f"none of the {len(jobs)} adapters of {recipe} is trained" if jobs else f"{recipe} has no adapter"
        raise ArtifactError(f"nothing to serve: {what}", f"Run: loralift finetune {recipe}" if jobs else "Name one behind it.")
    if missing:
        say(f"not trained yet, so not served: {len(missing)} of {len(jobs)} adapters, the first {missing[0]}")
    return {job: (adapter_id(job, artifacts), artifact) for job, artifact in artifacts.items()}


def adapter_id(job: Job, artifacts: dict[Job, Artifact]) -> str:
    """The id of a recipe's adapter: base, task, rank and seed, as its folder is called; with its key where others are called the same."""
    is_alone = sum(other.label == job.label for other in artifacts) == 1
    return job.label if is_alone else f"{job.label}--{artifacts[job].key[:8]}"


def checked_copy(place: str, spec: dict[str, Any], folder: Path) -> Path:
    """A copy of an adapter from elsewhere, if it fits the base. Raises ModelError, as the stage import_adapter does."""
    fit = adapter_fit.fit(adapter_source.local_folder(adapter_source.find(place)), spec)
    for warning in fit.warnings:
        say(warning)
    folder.mkdir()
    adapter_fit.save(fit, folder)
    return folder


def check_adapter(name: str, folder: Path, max_rank: int) -> None:
    """Raise ModelError for an adapter that is larger than allowed."""
    config = adapter_source.read_config(folder)
    rank = max([config["r"], *(config.get("rank_pattern") or {}).values()])
    if rank > max_rank:
        raise ModelError(f"{name} has rank {rank}, and --max-rank is {max_rank}", f"Say --max-rank {rank}, or leave it out.")


def check_together(folders: Mapping[str, Path]) -> None:
    """Raise ModelError for two adapters that peft cannot hold on one base: one replaces a module as a whole, the other has LoRA on it."""
    whole = {module: name for name, folder in folders.items() for module in adapter_source.read_config(folder).get("modules_to_save") or ()}
    for name, folder in folders.items() if whole else ():
        for module in sorted({part for tensor in tensor_names(folder) if "lora_" in tensor for part in tensor.split(".")}):
            if module in whole:
                problem = f"{whole[module]} replaces {module} as a whole, and {name} has LoRA on it; one base cannot hold both"
                raise ModelError(problem, "Serve them apart.")


def summary(models: ServedModels) -> str:
    """What is served, in a line."""
    params = models.params
    precision = f"{'4-bit NF4' if params['quantization'] == 'nf4' else 'not quantized'}, {params['compute']}"
    adapters = ", ".join(models.adapters) or "none"
    return f"base {models.base} ({precision}); adapters: {adapters}"


def announce(options: ServeOptions) -> Callable[[str], None]:
    """What tells the user that requests are answered."""

    def tell(url: str) -> None:
        if not options.address.is_loopback and not options.api_key:
            say(f"no key is set: whoever reaches {options.host} can use these models; set {KEY_VARIABLE}")
        say(f"serving {url}/v1; Ctrl-C to stop")

    return tell


def torch_device(options: ServeOptions) -> Any:
    return Machine(known_device(options.device)).torch_device()
