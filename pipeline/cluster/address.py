"""Reads --where, and asks within seconds whether a Ray cluster answers there: Ray itself blocks for a minute or two at a wrong port."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.errors import MachineError

LOCAL, AUTO = "local", "auto"
ADDRESS = re.compile(r"(?P<scheme>ray://)?(?P<host>\[[^\]\s]+\]|[^:/\s]+):(?P<port>\d{1,5})")
CLIENT_METHOD, CLUSTER_METHOD = "/ray.rpc.RayletDriver/ClusterInfo", "/ray.rpc.NodeInfoGcsService/CheckAlive"
"""What only the port for Ray's clients answers, and what only the port of the cluster answers."""
SECONDS = 3.0
"""How long a cluster may take to answer."""
FORMS = "Write local, auto (the cluster that this machine is part of), ray://HOST:10001, or HOST:6379 on a machine of the cluster."


def check_where(text: str) -> str:
    """The value of --where, if it has one of its forms.

    Raises:
        MachineError: it has none.
    """
    if text in (LOCAL, AUTO):
        return text
    match = ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise MachineError(f"--where {text}: this is no address of a Ray cluster", FORMS)
    return text


def check_packages() -> None:
    """Raises MachineError, if Ray or the client that --where needs is not installed."""
    for package in ("ray", "grpc"):
        if find_spec(package) is None:
            raise MachineError(f"--where needs the package {package}, which is not installed", "pip install 'loralift[ray]'")


def resolve(place: str) -> str:
    """The address behind `auto`, or the address as it is.

    Raises:
        MachineError: this machine is part of no cluster.
    """
    if place != AUTO:
        return place
    if address := os.environ.get("RAY_ADDRESS", ""):
        return check_where(address)
    from ray._private import services

    try:
        return str(services.canonicalize_bootstrap_address(AUTO))
    except ConnectionError:
        remedy = "Start one with `ray start --head`, or join one with `ray start --address HOST:6379`."
        raise MachineError("--where auto: this machine is part of no Ray cluster", remedy) from None


def knock_early(place: str) -> None:
    """knock(), before a plan is made: a cluster that does not answer is said within seconds, whatever the recipe.

    Raises:
        MachineError: see knock(), resolve() and check_packages().
    """
    check_packages()
    knock(resolve(place))


def knock(address: str) -> None:
    """Ask a cluster for a sign of life.

    Args:
        address: ray://HOST:PORT or HOST:PORT.

    Raises:
        MachineError: nothing answers in time, something else does, the token is missing or wrong, or its Ray is another version.
    """
    import grpc

    is_client = address.startswith("ray://")
    target, method = address.removeprefix("ray://"), CLIENT_METHOD if is_client else CLUSTER_METHOD
    token = auth_token()
    with grpc.insecure_channel(target, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = channel.unary_unary(method)(b"", timeout=SECONDS, metadata=[("authorization", f"Bearer {token}")] if token else None)
        except grpc.RpcError as error:
            if fault := fault_of(error, address, bool(token)):
                raise fault from None
            return
    check_version(answer, address)


def fault_of(error: Any, address: str, has_token: bool) -> MachineError | None:
    """What a refusal means; None if it came from Ray, which minds only that the question was empty."""
    code = error.code().name
    if code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        return MachineError(
            f"--where {address}: no Ray cluster answers there",
            "Check host, port and firewall, and on the head: `ray status`. Clients connect to ray://HOST:10001, nodes to HOST:6379.",
        )
    if code == "UNIMPLEMENTED" and address.startswith("ray://"):
        remedy = "Take the head's --ray-client-server-port (10001 unless set), or leave out ray:// on a machine of the cluster."
        return MachineError(f"--where {address}: this port is not Ray's port for clients", remedy)
    if code == "UNIMPLEMENTED":
        remedy = f"Write ray://{address} if it is the port for clients, else the head's --port (6379 unless set)."
        return MachineError(f"--where {address}: this port is not that of a Ray cluster", remedy)
    if code == "UNAUTHENTICATED":
        fault = "has another token than RAY_AUTH_TOKEN or ~/.ray/auth_token" if has_token else "asks for a token"
        remedy = "Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to what `ray get-auth-token` prints on the head."
        return MachineError(f"--where {address}: the cluster {fault}", remedy)
    return None


def auth_token() -> str:
    """The token that Ray itself would send; empty where it would send none."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        return ""
    if token := os.environ.get("RAY_AUTH_TOKEN", ""):
        return token
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""


def check_version(answer: bytes, address: str) -> None:
    """Raises MachineError, if a cluster says that its Ray is another version than the one here."""
    own = version("ray")
    match = re.search(rb"\d+\.\d+\.\d+(?:[\w.]*)", answer)
    if match and match[0].decode() != own:
        problem = f"--where {address}: the cluster runs Ray {match[0].decode()}, and this machine has {own}"
        raise MachineError(problem, "Install one version on all machines: pip install -c constraints.txt 'loralift[ray]'")


def silence(ray: Any) -> None:
    """Keep Ray from printing what a node logged when a process of its died, pages of it; slots.py says in a line what was lost."""
    ray._private.worker.print_to_stdstream = lambda *arguments, **options: None


@contextmanager
def connected(place: str) -> Iterator[Any]:
    """The module `ray`, connected to a cluster; disconnected at the end, unless it was connected before.

    Raises:
        MachineError: there is none, or it refuses.
    """
    check_packages()
    for name, value in (("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"), ("RAY_USAGE_STATS_ENABLED", "0")):
        os.environ.setdefault(name, value)  # read when Ray is imported: its warnings are not for users of loralift, and no telemetry
    import logging

    import ray

    if ray.is_initialized():
        yield ray
        return
    address = resolve(place)
    knock(address)
    logging.getLogger("ray").setLevel(logging.ERROR)
    silence(ray)
    quiet = {} if address.startswith("ray://") else {"log_to_driver": False}
    try:
        ray.init(address=address, logging_level=logging.ERROR, **quiet)
    except Exception as error:  # of a version, of a token, of a cluster that ends just now: Ray has a type for each
        reason = " ".join(str(error).split())[:300]
        raise MachineError(f"--where {place}: Ray cannot connect to the cluster: {reason}", "See `ray status` on the head.") from None
    try:
        yield ray
    finally:
        ray.shutdown()
