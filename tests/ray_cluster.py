"""A Ray cluster of several nodes on this machine, in a process of its own: `with nodes(2) as cluster`.

Run as a program it starts the cluster, prints its address and ports as JSON, and removes the node whose number it reads.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from tests import ROOT

STORE_BYTES = 80_000_000
"""Of Ray's object store; jobs pass nothing large."""


@dataclass
class Cluster:
    """A running cluster."""

    process: Any
    address: str
    client: str
    """Its address for clients."""

    def workers(self) -> list[psutil.Process]:
        """The processes that jobs run in."""
        rows = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if child.cmdline()[:1] and child.cmdline()[0].startswith("ray::Worker"):
                    rows.append(child)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return rows

    def remove(self, number: int) -> None:
        """Kill a node, the first is 0."""
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()


@contextmanager
def nodes(count: int, cpus: int = 1) -> Iterator[Cluster]:
    """A cluster whose head runs no job."""
    words = [sys.executable, "-m", "tests.ray_cluster", str(count), str(cpus)]
    process = subprocess.Popen(
        words, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        line = next((line for line in process.stdout if line.startswith("{")), "")
        yield Cluster(process, **json.loads(line))
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(60)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("", 0))
        return int(taken.getsockname()[1])


def main() -> None:
    from ray.cluster_utils import Cluster as RayCluster

    port = free_port()
    common = {"object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = RayCluster(initialize_head=True, head_node_args={"num_cpus": 0, "ray_client_server_port": port, **common})
    rows = [cluster.add_node(num_cpus=int(sys.argv[2]), **common) for _ in range(int(sys.argv[1]))]
    print(json.dumps({"address": cluster.address, "client": f"ray://127.0.0.1:{port}"}), flush=True)
    try:
        for line in sys.stdin:
            cluster.remove_node(rows[int(line)], allow_graceful=False)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
