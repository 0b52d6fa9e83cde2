"""The nodes of a Ray cluster: what each has, what is checked of it before any job runs, and how many jobs it takes at a time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.cluster import node_report
from pipeline.cluster.node_report import NodeReport, StoreProbe
from pipeline.errors import MachineError
from pipeline.progress import say
from pipeline.store.artifact import Store

PROBE_SECONDS = 60.0
"""How long a node may take to start a process and report on itself."""
CPU_SLOTS = 2
"""Jobs without a model that a node with GPUs takes at a time."""


@dataclass(frozen=True)
class Node:
    """A machine of a cluster that is up."""

    id: str
    host: str
    cpus: int
    gpus: int
    memory: int
    """Bytes that Ray hands out."""


@dataclass(frozen=True)
class Needs:
    """What a job takes of a node."""

    threads: int
    """Threads of a job on the CPU, as many as it would have here."""
    memory: int
    """Bytes of the largest job on weights."""
    on_gpu: bool
    """Whether jobs on weights run on GPUs."""


@dataclass(frozen=True)
class Share:
    """The part of a node that one job has to itself."""

    node: Node
    gpus: int
    cpus: int
    memory: int

    @property
    def is_gpu(self) -> bool:
        return self.gpus > 0

    def is_heavy(self, needs: Needs) -> bool:
        """Whether it takes jobs on weights."""
        return self.is_gpu or not needs.on_gpu


@dataclass(frozen=True)
class RunFiles:
    """What every node must have: the store, and the files that jobs read."""

    folder: str
    """What relative paths are relative to."""
    paths: tuple[str, ...]
    store: Store


def live_nodes(ray: Any) -> list[Node]:
    """The nodes that are up and have processors, by host."""
    rows = [(row, row["Resources"]) for row in ray.nodes() if row["Alive"]]
    nodes = [
        Node(row["NodeID"], f"{row['NodeManagerHostname']} ({row['NodeManagerAddress']})", int(resources.get("CPU", 0)),
             int(resources.get("GPU", 0)), int(resources.get("memory", 0)))
        for row, resources in rows
    ]  # fmt: skip
    return sorted((node for node in nodes if node.cpus or node.gpus), key=lambda node: (node.host, node.id))


def shares(node: Node, needs: Needs) -> list[Share]:
    """The parts that a node is cut into. With GPUs, jobs without a model have parts of their own."""
    if not needs.on_gpu:
        count = min(node.cpus // needs.threads, node.memory // needs.memory if needs.memory else node.cpus)
        return [Share(node, 0, needs.threads, needs.memory)] * count
    cpus = 1 if node.cpus >= node.gpus else 0
    spare = min(CPU_SLOTS, node.cpus - node.gpus * cpus)
    return [*[Share(node, 1, cpus, min(needs.memory, node.memory // max(1, node.gpus)))] * node.gpus, *[Share(node, 0, 1, 0)] * spare]


def check_size(nodes: list[Node], needs: Needs, device: str, wanted: int | None) -> None:
    """Raise MachineError, if the cluster does not have what is needed, or what was requested; nobody waits for what never comes.

    Args:
        device: as --device names it.
        wanted: jobs on weights at a time; None: as many as fit.
    """
    inventory = "; ".join(f"{node.host}: {node.cpus} CPUs, {node.gpus} GPUs" for node in nodes) or "no node has a processor to offer"
    if device == "cuda" and not needs.on_gpu:
        raise MachineError(f"--device cuda: the cluster has no GPU ({inventory})", "Start nodes with GPUs, or leave --device out.")
    if device not in ("auto", "cuda", "cpu"):
        raise MachineError(f"--device {device}: on a cluster Ray assigns the devices", "Write auto, cuda or cpu.")
    count = sum(share.is_heavy(needs) for node in nodes for share in shares(node, needs))
    unit = "GPU" if needs.on_gpu else f"{needs.threads} CPUs and {needs.memory / 1e9:.1f} GB of memory"
    if count == 0:
        raise MachineError(f"the cluster has no node with {unit} for a job ({inventory})", "Start larger nodes, or set OMP_NUM_THREADS=1.")
    if wanted is not None and wanted > count:
        problem = f"--max-jobs {wanted}: the cluster takes {count} jobs at a time, each with {unit} ({inventory})"
        raise MachineError(problem, f"Leave --max-jobs out, or start more nodes; at most: --max-jobs {count}.")


def check_nodes(ray: Any, nodes: list[Node], files: RunFiles) -> None:
    """Compare every node with this machine, and see that the store is one and the same folder everywhere.

    Raises:
        MachineError: packages or code differ, files are missing, the store is not shared, or a node cannot run loralift.
    """
    mine = node_report.here()
    with node_report.store_probe(files.store) as probe:
        reports = {node: report_of(ray, node, files, probe) for node in nodes}
        unseen = [node.host for node in nodes if not reports[node].store_fault and not node_report.has_answered(probe, node.id)]
    faults = [line for node, report in reports.items() for line in faults_of(node, report, mine)]
    faults += [f"{host}: what it writes into the store is not seen here" for host in unseen]
    if faults:
        remedy = "Every machine needs the same packages, the same code, and the store and data files at the same paths (docs/cluster.md)."
        raise MachineError(f"the nodes cannot work together: {'; '.join(dict.fromkeys(faults))}", remedy)
    note_differences(mine, reports.values())


def report_of(ray: Any, node: Node, files: RunFiles, probe: StoreProbe) -> NodeReport:
    """What a node says of itself.

    Raises:
        MachineError: it says nothing.
    """
    options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": pinned(node)}
    try:
        reference = ray.remote(node_report.there).options(**options).remote(files.folder, files.paths, probe, node.id)
        report: NodeReport = ray.get(reference, timeout=PROBE_SECONDS)
    except Exception as error:  # Ray has a type for each way in which a process does not start
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        problem = f"node {node.host} cannot run loralift: {lines[-1][:300] if lines else type(error).__name__}"
        raise MachineError(problem, "Install loralift[ray] there, the same version as here (docs/cluster.md).") from None
    return report


def pinned(node: Node) -> Any:
    """The scheduling strategy that runs something on one node and on no other."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node.id, soft=False)


def faults_of(node: Node, report: NodeReport, mine: NodeReport) -> Iterable[str]:
    """What keeps a node from taking part, each in a line."""
    if differing := differences(report.packages, mine.packages):
        yield f"{node.host} has {', '.join(differing)}"
    if report.missing:
        more = f" and {len(report.missing) - 3} more" if len(report.missing) > 3 else ""
        yield f"{node.host} does not have {', '.join(report.missing[:3])}{more}"
    if report.store_fault:
        yield f"{node.host} does not share the store: {report.store_fault}"


def differences(packages: Mapping[str, str], mine: Mapping[str, str]) -> list[str]:
    """`torch 2.11.0 (here 2.13.0)` for every package that differs."""
    names = sorted({*packages, *mine})
    return [f"{name} {packages.get(name)} (here {mine.get(name)})" for name in names if packages.get(name) != mine.get(name)]


def note_differences(mine: NodeReport, reports: Iterable[NodeReport]) -> None:
    """Say what stops no run, and is good to know."""
    reports = list(reports)
    if len(processors := sorted({report.processor for report in reports})) > 1:
        say(f"the nodes have different processors ({', '.join(processors)}): results may differ in the last digits")
    if not all(report.locks_hold for report in reports):
        say("file locks in the store do not hold between machines: start one run at a time on it, else work is done twice")
