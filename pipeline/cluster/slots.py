"""Sends jobs to the slots of a Ray cluster: processes on its nodes, each with a GPU or with some CPUs to itself.

A slot is an actor and no task, since Ray ends the process of a task on a GPU after every call, and the base in memory with it. It is pinned
to its node. One that dies is started again as long as its node lives; its job goes to whichever slot is free next, and goes on from its
resume point. One thread of the driver holds all state, and hears of everything by its queue.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, Queue
from threading import Thread
from typing import Any

from pipeline.cluster.nodes import Needs, Node, RunFiles, Share, check_nodes, live_nodes, pinned, shares
from pipeline.cluster.worker import Outcome, Setup, Worker, environment
from pipeline.errors import ClusterError, MachineError
from pipeline.progress import say

LOOK_SECONDS = 2.0
"""How often the driver looks which nodes are alive."""
PATIENCE_SECONDS = 120.0
"""How long jobs wait where no node is left, or no process starts on any, before they fail."""
MAX_LOSSES = 10
"""How often a job may lose its process before it fails: one that kills every process would go on for ever."""
MAX_PAUSE_SECONDS = 30.0
"""Between two starts of a slot that fails to start; the pauses double up to here."""
BUSY_SECONDS = 30.0
"""After so long without a free part of the cluster the user hears of it."""


@dataclass(eq=False)
class Call:
    """A call that waits for a slot or runs in one."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    name: str
    needs_gpu: bool
    weights: str
    """The base that it holds in memory; empty: none."""
    future: "Future[Any]" = field(default_factory=Future)
    losses: int = 0
    hosts: list[str] = field(default_factory=list)
    """Where it was lost."""


@dataclass(eq=False)
class Slot:
    """A part of a node, and the process in it."""

    share: Share
    actor: Any
    is_ready: bool = False
    call: Call | None = None
    weights: str = ""
    """The base in the memory of the process."""
    failed_starts: int = 0
    """In a row."""
    next_start: float = 0.0
    fault: str = ""
    """Why the last start failed."""


class Slots:
    """The slots of a cluster; call close() at the end."""

    def __init__(self, ray: Any, nodes: list[Node], needs: Needs, files: RunFiles) -> None:
        self.ray = ray
        self.needs = needs
        self.files = files
        self.events: Queue[tuple[Any, ...]] = Queue()
        self.waiting: deque[Call] = deque()
        self.slots: list[Slot] = []
        self.nodes = {node.id: node for node in nodes}
        """The nodes that were looked at, by id."""
        self.last_life = self.last_ready = time.monotonic()
        """When a slot was there or about to be, and when one was ready, at last."""
        self.is_closed = False
        self.is_busy = False
        """Whether it was said that the cluster is."""
        for node in nodes:
            self.occupy(node)
        self.thread = Thread(target=self.attend, daemon=True)
        self.thread.start()

    def submit(self, call: Call) -> "Future[Any]":
        """Send a call to the cluster; its future holds the result, or the error."""
        self.events.put(("call", call))
        return call.future

    def close(self) -> None:
        """End every process; a job that runs loses what it did since its last resume point."""
        self.is_closed = True
        self.events.put(("close",))
        self.thread.join(timeout=10)
        for slot in self.slots:
            if slot.actor is not None:
                self.ray.kill(slot.actor)

    def occupy(self, node: Node) -> None:
        for share in shares(node, self.needs):
            self.slots.append(Slot(share, None))
            self.start(self.slots[-1])

    def start(self, slot: Slot) -> None:
        """Start the process of a slot."""
        share = slot.share
        variables = {"env_vars": environment(self.needs.threads, os.environ)}
        slot.actor = (
            self.ray.remote(Worker)
            .options(
                num_cpus=share.cpus,
                num_gpus=share.gpus,
                memory=share.memory or None,
                max_restarts=0,
                scheduling_strategy=pinned(share.node),
                runtime_env=variables,
            )
            .remote(Setup(self.files.folder, self.needs.threads))
        )
        slot.is_ready, slot.call, slot.weights = False, None, ""
        self.hear(slot.actor.ready.remote(), "ready", slot)

    def hear(self, reference: Any, event: str, slot: Slot) -> None:
        """Put an event into the queue once a remote call has ended."""
        actor = slot.actor
        reference.future().add_done_callback(lambda future: self.events.put((event, slot, actor, future)))

    def attend(self) -> None:
        """The driver's thread: take events, and hand out calls."""
        next_look = 0.0
        while not self.is_closed:
            try:
                self.take_event()
                if time.monotonic() >= next_look:
                    self.look()
                    next_look = time.monotonic() + LOOK_SECONDS
                self.hand_out()
            except (self.ray.exceptions.RayError, ConnectionError) as error:
                self.fail_all(ClusterError(f"the Ray cluster is lost: {first_line(error)}", "Run the same command again once it is up."))
            except Exception as error:
                self.fail_all(error)

    def take_event(self) -> None:
        """Wait for an event, for a while, and act on it."""
        try:
            event, *details = self.events.get(timeout=LOOK_SECONDS)
        except Empty:
            return
        getattr(self, f"on_{event}")(*details)

    def on_call(self, call: Call) -> None:
        self.waiting.append(call)

    def on_close(self) -> None:
        """Nothing: the loop ends by itself."""

    def on_ready(self, slot: Slot, actor: Any, future: "Future[Any]") -> None:
        """A process was started, or could not be."""
        if slot.actor is not actor or slot not in self.slots:
            return
        error = future.exception()
        if error is None:
            slot.is_ready, slot.failed_starts = True, 0
            return
        slot.failed_starts += 1
        slot.actor, slot.fault = None, first_line(error)  # look() starts it again, if its node lives
        slot.next_start = time.monotonic() + min(MAX_PAUSE_SECONDS, 2.0 ** (slot.failed_starts - 1))

    def on_done(self, slot: Slot, actor: Any, future: "Future[Outcome]") -> None:
        """A call has ended, well or not, or its process has died."""
        call = slot.call
        if slot.actor is not actor or call is None:
            return
        slot.call = None
        if error := future.exception():
            self.on_loss(slot, call, error)
            return
        outcome = future.result()
        for line in outcome.lines:
            say(line)
        if outcome.error is not None:
            call.future.set_exception(outcome.error)
        else:
            call.future.set_result(outcome.result)

    def on_loss(self, slot: Slot, call: Call, error: BaseException) -> None:
        """The process or the node of a call died: send the call elsewhere, unless it dies wherever it goes."""
        call.losses += 1
        call.hosts.append(slot.share.node.host)
        if slot in self.slots:
            self.ray.kill(slot.actor)  # where only the connection broke, two processes would else do the same
            self.start(slot)
        if call.losses <= MAX_LOSSES:
            say(f"  {call.name}: its process on {slot.share.node.host} was lost; it goes on in another")
            self.waiting.appendleft(call)
            return
        problem = f"{call.name} lost its process {call.losses} times, on {', '.join(dict.fromkeys(call.hosts))}: {first_line(error)}"
        call.future.set_exception(MachineError(problem, "Most often memory ran out: lower --tokens, or see `ray list workers` and dmesg."))

    def look(self) -> None:
        """Compare the slots with the nodes that are alive: those of a dead node go, and a new node has its own once it was checked."""
        live = live_nodes(self.ray)
        alive = {node.id for node in live}
        for slot in [slot for slot in self.slots if slot.share.node.id not in alive]:
            self.slots.remove(slot)
            if slot.call is not None:
                call, slot.call = slot.call, None
                self.on_loss(slot, call, RuntimeError("its node is gone"))
        for node in [node for node in self.nodes.values() if node.id not in alive]:
            del self.nodes[node.id]
            say(f"  node {node.host} is gone; its jobs go to others")
        for node in [node for node in live if node.id not in self.nodes and shares(node, self.needs)]:
            self.nodes[node.id] = node
            Thread(target=self.admit, args=(node,), daemon=True).start()
        now = time.monotonic()
        for slot in [slot for slot in self.slots if slot.actor is None and now >= slot.next_start]:
            self.start(slot)
        self.judge_wait(now)

    def judge_wait(self, now: float) -> None:
        """Fail the calls that wait for what does not come, and say it where others use the cluster."""
        if not self.waiting or any(slot.is_ready for slot in self.slots):
            self.last_life = self.last_ready = now
            self.is_busy = False
            return
        if any(slot.failed_starts == 0 for slot in self.slots):
            self.last_life = now
        if now - self.last_life > PATIENCE_SECONDS:
            faults = "; ".join(dict.fromkeys(f"{slot.share.node.host}: {slot.fault}" for slot in self.slots))
            problem = f"no process starts on any node of the cluster ({faults})" if faults else "no node of the cluster is left"
            self.fail_all(ClusterError(problem, "Mend or start nodes, and run the same command again."))
        elif now - self.last_ready > BUSY_SECONDS and not self.is_busy:
            self.is_busy = True
            say("  waiting for a free part of the cluster: others use it, or its processes take long to start")

    def admit(self, node: Node) -> None:
        """Check a node that joined while the run goes on; it takes a while, so this runs in a thread of its own."""
        try:
            check_nodes(self.ray, [node], self.files)
        except MachineError as error:
            say(f"  node {node.host} joined and gets no jobs: {error.problem}")
        else:
            self.events.put(("joined", node))

    def on_joined(self, node: Node) -> None:
        say(f"  node {node.host} joined")
        self.occupy(node)

    def hand_out(self) -> None:
        """Give waiting calls to free slots."""
        for call in list(self.waiting):
            if slot := self.free_slot(call):
                self.waiting.remove(call)
                slot.call, slot.weights = call, call.weights or slot.weights
                self.hear(slot.actor.call.remote(call.function, call.arguments), "done", slot)

    def free_slot(self, call: Call) -> Slot | None:
        """A free slot for a call: the one with its base in memory before one that holds none, before one that holds another."""
        free = [slot for slot in self.slots if slot.is_ready and slot.call is None and self.suits(slot, call)]
        return min(free, key=lambda slot: (slot.weights != call.weights, bool(slot.weights)), default=None)

    def suits(self, slot: Slot, call: Call) -> bool:
        """Whether a call may run in a slot: what needs no GPU takes none, unless there is nothing else."""
        if call.needs_gpu and self.needs.on_gpu:
            return slot.share.is_gpu
        return not slot.share.is_gpu or all(other.share.is_gpu for other in self.slots)

    def fail_all(self, error: Exception) -> None:
        calls = [*self.waiting, *(slot.call for slot in self.slots if slot.call is not None)]
        self.waiting.clear()
        for slot in self.slots:
            slot.call = None
        for call in calls:
            call.future.set_exception(error)


def first_line(error: BaseException) -> str:
    """The first line of a message, or the type of an error without one."""
    return next((line.strip()[:200] for line in str(error).splitlines() if line.strip()), type(error).__name__)
