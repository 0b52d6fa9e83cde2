"""Refuses, before any job runs, what would crash a run hours after its start or leave useless results.

Every check takes what is still to be made and gives its obstacles, each in a line that says what is wrong, where, with the value and the
remedy: the store, data sets, bases, keys of endpoints, the sandbox, disk, GPU memory. `check()` is the list of them.
"""

import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from pipeline import metrics, stages
from pipeline.cluster.place import call_here
from pipeline.commands import adapter_sizes, estimate, job_estimates, power
from pipeline.commands.estimate import BF16, weight_memory
from pipeline.commands.reachable import Hub, base_obstacle, data_obstacles
from pipeline.config.recipe import Recipe
from pipeline.config.schema import is_own_task
from pipeline.data import inline
from pipeline.errors import MachineError, ModelError, RecipeError, UserError, suggest
from pipeline.machine import EndpointSettings, Machine, free_memory
from pipeline.models import base_model
from pipeline.planning.job import TRAINING_STAGES, Job, Params
from pipeline.references import endpoint
from pipeline.runner import Site
from pipeline.sandbox import sandbox
from pipeline.store.artifact import EARLIER, Artifact, Store, canonical
from pipeline.store.disk import EXPLANATIONS

IN_A_LAYER = re.compile(r"\.\d+\.")
"""In the name of a tensor: it belongs to one of many equal layers, and not to embedding or head."""
OUTPUT_LAYER = "lm_head"
"""A linear module that is no part of a layer, nor of a shape."""
Artifacts = dict[Job, Artifact]
"""The finished jobs with their artifacts."""
ADAPTER_BYTES = 4
"""Bytes per adapter weight on disk."""
RESUME_BYTES = 16
"""Bytes per adapter weight in a resume point: the weight, Adam's two moments, and the best step so far."""
TOKEN_BYTES = 4
"""Bytes per token of an answer, as text."""
LARGE_RANK = 256
"""From here on an adapter may be what takes the memory."""
ESTIMATE_ERROR = 1.1
"""How far the estimate of memory may be off (commands/estimate.py); a job that may fit is not refused."""


def check(recipe: Recipe, jobs: Mapping[Job, Artifact | None], site: Site, call: Callable[..., Any] = call_here) -> None:
    """Look at everything that can be seen now.

    Args:
        jobs: what is to be run, with the artifact of every job that is done.
        call: runs a function where jobs on weights run; see cluster/place.py.

    Raises:
        MachineError: every obstacle in a line of its own, with its remedy.
        RecipeError: the claims that are tested by randomization cannot be shown, whatever the answers.
    """
    missing = [job for job, artifact in jobs.items() if artifact is None]
    done = {job: artifact for job, artifact in jobs.items() if artifact is not None}
    check_resamples(recipe, missing)
    machine = replace(site.machine, endpoints=())  # the keys of endpoints stay here
    by_task, first_obstacles, last_obstacles = call(machine_obstacles, recipe, missing, done, Site(site.store, machine))
    obstacles = [*first_obstacles, *unready_endpoints(missing, site.machine), *last_obstacles]
    if obstacles:
        first, *others = dict.fromkeys(obstacles)
        raise MachineError("\n".join([first, *(f"  {line}" for line in others)]), without_tasks(recipe, by_task))


def machine_obstacles(recipe: Recipe, missing: list[Job], done: Artifacts, site: Site) -> tuple[set[str], list[str], list[str]]:
    """What keeps this machine from running jobs: the tasks that cannot be run, and obstacles in two parts.

    Raises:
        MachineError: the recipe needs CUDA, which is not here.
    """
    if recipe.needs_cuda and any_needs_gpu(missing):
        check_cuda(recipe)
    remote = Hub(site.machine.offline)
    by_task = {**unreadable_data(missing, remote), **unsafe_tasks(missing, site.machine)}
    first = [
        *store_obstacles(site.store if missing else None),
        *(line for lines in by_task.values() for line in lines),
        *unreachable_bases(missing, remote),
    ]
    misfits = [*missing_targets(missing), *adapter_sizes.faults(missing)]
    return set(by_task), first, [*misfits, *full_disks(missing, done, site.store), *too_small(missing, done, site.machine)]


def largest(jobs: Mapping[Job, Artifact | None]) -> int:
    """Bytes of memory that the largest of the jobs that are not done needs on a CPU at least; 0 where none holds weights."""
    done = {job: artifact for job, artifact in jobs.items() if artifact is not None}
    needed = largest_of_stages((job for job in jobs if job not in done), done, weight_bytes)
    return int(max((size for size, _, _ in needed.values()), default=0))


def without_tasks(recipe: Recipe, refused: set[str]) -> str:
    """The remedy that leaves tasks out of a recipe; empty where nothing would be left, or one is inline or is not under `tasks`."""
    names = [task for task in recipe.tasks if isinstance(task, str) and not is_own_task(task)]
    remaining = [name for name in names if name not in refused]
    can_be_left_out = refused and remaining and refused <= set(names) and len(names) == len(recipe.tasks)
    return f"Or leave these tasks out: 'tasks=[{', '.join(remaining)}]'" if can_be_left_out else ""


def any_needs_gpu(jobs: Iterable[Job]) -> bool:
    """Whether one of the jobs runs on a GPU if the machine has one."""
    return any(stages.GPU in stages.find(job.stage).needs for job in jobs)


def check_cuda(recipe: Recipe) -> None:
    import torch

    if not torch.cuda.is_available():
        raise MachineError(
            f"{recipe.name}: the recipe says needs_cuda, and this machine has no CUDA device",
            "Run it on a GPU, or override: needs_cuda=false.",
        )


def check_resamples(recipe: Recipe, jobs: Iterable[Job]) -> None:
    """Raise RecipeError if a report is to be made with too few resamples to show any claim."""
    for job in jobs:
        if job.stage == "report" and (fault := power.out_of_reach(power.family_of(job))):
            problem, remedy = fault
            raise RecipeError(f"{recipe.name}: {problem}", remedy)


def store_obstacles(store: Store | None) -> Iterator[str]:
    """Folders of the store that cannot be written to, found by writing a temporary file."""
    for folder in (store.data, store.checkpoints) if store else ():
        links = [path for path in (folder, *folder.parents) if path.is_symlink() and not path.exists()]
        if links:
            yield f"{links[0]} is a link to a folder that does not exist. Make the folder, or choose another folder with --store."
            continue
        try:
            with TemporaryFile(dir=existing(folder)):
                pass
        except OSError as error:
            problem, remedy = EXPLANATIONS.get(error.errno or 0, (error.strerror, "Choose another folder with --store."))
            yield f"cannot write to {folder}: {problem}. {remedy}"


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())


def unreadable_data(jobs: Iterable[Job], remote: Hub) -> dict[str, list[str]]:
    """Task name to its splits' obstacles, where no source of a split is within reach."""
    lines: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        if job.stage == "prepare":
            task = inline.from_spec(job.params["task"])
            sources = task.train if job.params["split"] == "train" else task.heldout
            lines[task.name] += [f"{task.name}: {obstacle}" for obstacle in data_obstacles(sources, remote)]
    return {name: obstacles for name, obstacles in lines.items() if obstacles}


def unsafe_tasks(jobs: Iterable[Job], machine: Machine) -> dict[str, list[str]]:
    """Task name to its obstacle, where a metric runs generated code and this machine cannot isolate it."""
    scored = [job.params for job in jobs if job.stage in ("compare", "forecast")]
    reason = "" if machine.unsafe_code or not scored else sandbox.available()
    specs = [spec for params in scored for spec in (params["task"], *params.get("general", {}).values())] if reason else []
    tasks = {canonical(spec): inline.from_spec(spec) for spec in specs}.values()
    runs = {
        task.name: next((metric for metric in task.metrics if metrics.load(metric, **task.metric_options).runs_code), "") for task in tasks
    }
    return {
        name: [f"{name}: {metric} runs generated code, and this machine has no sandbox ({reason}). {sandbox.ADVICE}"]
        for name, metric in runs.items()
        if metric
    }


def unreachable_bases(jobs: Iterable[Job], remote: Hub) -> Iterator[str]:
    """Bases that are not here and cannot be fetched."""
    for spec in bases(jobs):
        if error := base_obstacle(spec, remote):
            yield f"{error.problem} {error.remedy}"


def bases(jobs: Iterable[Job]) -> list[dict[str, Any]]:
    """The specs of the bases and fine-tuned models that the jobs load or read a tokenizer of."""
    specs = [job.params[name] for job in jobs if "endpoint" not in job.params for name in ("model", "tuned") if job.params.get(name)]
    return list({canonical(spec): spec for spec in specs}.values())


def check_targets(jobs: Iterable[Job]) -> None:
    """Raise RecipeError for target modules that a base of known shape does not have."""
    if mistakes := list(dict.fromkeys([*missing_targets(jobs), *adapter_sizes.faults(jobs)])):
        raise RecipeError("\n".join(mistakes))


def missing_targets(jobs: Iterable[Job]) -> Iterator[str]:
    """Target modules that a base of known shape does not have; of any other base the first pass tells (probes.py)."""
    for job in jobs:
        shape = base_model.shape_of(job.params["model"]) if job.stage in TRAINING_STAGES and job.params["targets"] != "all-linear" else None
        names = {*shape.linears, OUTPUT_LAYER} if shape else set()
        for target in job.params["targets"] if shape else ():
            if target.rpartition(".")[2] not in names:
                base = job.params["model"]["repo"] or Path(job.params["model"]["folder"]).name
                yield f"finetune.targets: {base} has no linear module '{target}'. {suggest(target, names)}"


def queried_endpoints(jobs: Iterable[Job], machine: Machine) -> list[EndpointSettings]:
    """The endpoints that these jobs will query."""
    wanted = {(job.params["endpoint"], job.params["model"]) for job in jobs if "endpoint" in job.params}
    return [settings for settings in machine.endpoints if (settings.endpoint, settings.model) in wanted]


def unready_endpoints(jobs: Iterable[Job], machine: Machine) -> Iterator[str]:
    """Endpoints that the run would query but cannot: offline, no key, or no client package."""
    for settings in queried_endpoints(jobs, machine):
        try:
            endpoint.ready_key(settings, machine.offline)
        except UserError as error:
            yield f"{error.problem}. {error.remedy}"


def full_disks(jobs: Iterable[Job], done: Artifacts, store: Store) -> Iterator[str]:
    """File systems with less room than the run will write: bases that are fetched, adapters with a resume point, answers at their longest.

    What data sets take is not known before they are fetched, and is not counted.
    """
    needed: dict[int, float] = defaultdict(float)
    paths: dict[int, Path] = {}
    for folder, size in planned_writes(jobs, done, store):
        path = existing(folder)
        device = path.stat().st_dev
        needed[device] += size
        paths.setdefault(device, path)
    for device, size in needed.items():
        free = shutil.disk_usage(paths[device]).free
        if size > free:
            yield (
                f"{paths[device]}: the run writes up to {amount(size)}, and {amount(free)} are free. "
                "Free some space, or choose another folder with --store, or with HF_HOME for bases."
            )


def planned_writes(jobs: Iterable[Job], done: Artifacts, store: Store) -> Iterator[tuple[Path, float]]:
    """Folder and bytes of everything that the jobs write whose size is known beforehand."""
    resume = 0.0
    for job in jobs:
        if job.stage == "finetune":
            weights = adapter_weights(job)
            resume = max(resume, RESUME_BYTES * weights)
            yield store.checkpoints, ADAPTER_BYTES * weights
        elif job.stage == "trial" and EARLIER not in dict(job.inputs):  # they are kept until one is chosen
            yield store.checkpoints, RESUME_BYTES * adapter_weights(job)
        elif job.stage in ("generate", "reference"):
            yield store.data, answer_bytes(job, done)
    yield store.checkpoints, resume
    from huggingface_hub import constants

    for spec in bases(jobs):
        shape = base_model.shape_of(spec)
        if shape and spec["repo"] and base_model.snapshot(spec["repo"], spec["revision"]) is None:
            yield Path(constants.HF_HUB_CACHE), BF16 * shape.params


def adapter_weights(job: Job) -> int:
    """Parameters of the adapter that a fine-tuning job makes; 0 where neither the shape of its base nor its files are known."""
    spec = job.params["model"]
    shape = base_model.shape_of(spec)
    if shape is not None:
        return adapter_sizes.weights(job.params, shape.modules)
    is_linear = IN_A_LAYER.search if job.params["targets"] == "all-linear" else bool
    modules = {name: widths for name, widths in base_model.matrices(spec).items() if is_linear(name)}
    try:
        return adapter_sizes.weights(job.params, modules)
    except ModelError:  # names in files may differ from those of the model, and training tells what does not fit
        return 0


def answer_bytes(job: Job, done: Artifacts) -> float:
    """Bytes of the answers of a job if every answer reaches the limit of new tokens."""
    examples = job_estimates.lengths_of(dict(job.inputs)["heldout"], done).examples
    return float(examples * (1 + job.params.get("samples", 0)) * job.params["max_new_tokens"] * TOKEN_BYTES)


def too_small(jobs: list[Job], done: Artifacts, machine: Machine) -> Iterator[str]:
    """Jobs that do not fit into the memory of the devices that they may run on, or of the machine where it has no device."""
    if devices := device_bytes(machine, jobs):
        yield from small_devices(jobs, done, devices)
    elif any_needs_gpu(jobs):
        free = free_memory()
        yield from small_memory(jobs, done, free) if machine.tokens is None else large_passes(jobs, done, machine.tokens, free)


def device_bytes(machine: Machine, jobs: Iterable[Job]) -> dict[str, int]:
    """Memory of every CUDA device that the jobs may run on, by its name; torch is loaded only if one of them needs a GPU."""
    if machine.device == "cpu" or not any_needs_gpu(jobs):
        return {}
    import torch

    if not torch.cuda.is_available():
        return {}
    devices = {name: machine.with_device(name).torch_device() for name in machine.devices}
    return {name: torch.cuda.get_device_properties(device).total_memory for name, device in devices.items() if device.type == "cuda"}


def small_devices(jobs: Iterable[Job], done: Artifacts, memory: Mapping[str, int]) -> Iterator[str]:
    """Jobs that do not fit into the memory of a device that may get them, the largest of each stage."""
    needed = largest_of_stages(jobs, done, min_bytes) if memory else {}
    for name, size in memory.items():
        yield from too_large(needed, f"{name} has {amount(size)}", size, "or a larger device")


def small_memory(jobs: Iterable[Job], done: Artifacts, free: float) -> Iterator[str]:
    """Jobs on the CPU whose weights alone do not fit into the free memory: the system would end the run, or much else."""
    yield from too_large(largest_of_stages(jobs, done, weight_bytes), f"{amount(free)} are free", free, "or a larger machine")


def large_passes(jobs: Iterable[Job], done: Artifacts, tokens: int, free: float) -> Iterator[str]:
    """The same with the largest pass that --tokens allows, as far as the data may be that large."""
    jobs = list(jobs)
    obstacles = list(small_memory(jobs, done, free))
    yield from obstacles
    needed = {} if obstacles else largest_of_stages(jobs, done, lambda job, done: weight_bytes(job, done) + pass_bytes(job, done, tokens))
    for stage, (required, label, _) in needed.items():
        if required > ESTIMATE_ERROR * free:
            memory = f"it needs about {amount(required)} of memory, and {amount(free)} are free"
            yield f"{stage} {label}: with --tokens {tokens:,} {memory}. Lower --tokens."


def pass_bytes(job: Job, done: Artifacts, tokens: int) -> float:
    """Bytes that the largest pass of a job adds, of at most `tokens` padded tokens; 0 where the shape of its base is not known."""
    shape = base_model.shape_of(job.params["model"])
    return estimate.pass_memory(shape, job_estimates.work_of(shape, job, done), tokens) if shape else 0.0


def largest_of_stages(
    jobs: Iterable[Job], done: Artifacts, size_of: Callable[[Job, Artifacts], float]
) -> dict[str, tuple[float, str, Params]]:
    """By stage that loads weights, what its largest job needs, its label and its parameters."""
    needed: dict[str, tuple[float, str, Params]] = {}
    for job in jobs:
        if job.stage in job_estimates.WORK_OF:
            size = size_of(job, done)
            if size > needed.get(job.stage, (-1.0,))[0]:
                needed[job.stage] = (size, job.label, job.params)
    return needed


def too_large(needed: Mapping[str, tuple[float, str, Params]], memory: str, size: float, otherwise: str) -> Iterator[str]:
    for stage, (required, label, params) in needed.items():
        if required > ESTIMATE_ERROR * size:
            rank = f"Lower finetune.rank (it is {params['rank']:,}), or take" if params.get("rank", 0) > LARGE_RANK else "Take"
            yield (
                f"{stage} {label}: it needs about {amount(required)} of memory, and {memory}. "
                f"{rank} a smaller base, quantization nf4, shorter examples (prepare.max_tokens), {otherwise}."
            )


def min_bytes(job: Job, done: Artifacts) -> float:
    """Memory that a job needs at least: that of its weights, and for training on prepared examples of the longest one alone.

    How much answering needs depends on --tokens.
    """
    estimate = job_estimates.estimate_of(job, done)
    if estimate and job.stage in TRAINING_STAGES and not estimate.is_upper_bound:
        return max(estimate.min_bytes, weight_bytes(job, done))
    return weight_bytes(job, done)


def weight_bytes(job: Job, done: Artifacts) -> float:
    """Bytes of a job's base, of a whole fine-tuned model beside it, and of a trained adapter with its gradient and Adam's moments.

    A base that nothing is known of counts as 0.
    """
    spec = job.params["model"]
    shape = base_model.shape_of(spec)
    per_weight = job_estimates.weight_bytes(job.params)
    matrices = base_model.matrices(spec).values()
    base = weight_memory(shape, per_weight) if shape else per_weight * sum(wide * out for wide, out in matrices)
    return base * job_estimates.models_in_memory(job) + (RESUME_BYTES * adapter_weights(job) if job.stage in TRAINING_STAGES else 0)


def amount(size: float) -> str:
    """Bytes in GB, or in MB if there are few."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
