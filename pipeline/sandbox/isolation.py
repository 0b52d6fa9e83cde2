"""Isolates the sandbox: namespaces, a small read-only root file system and no privileges, through calls of the C library.

There is no `os.unshare` in Python 3.11 and no mount in any Python, so the calls go through ctypes. The program `unshare`
of util-linux would be one more thing to find, and could not build the root file system.
"""

import ctypes
import os
import signal
import struct
import sys
from typing import Any

NEW_NS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PID, NEW_NET = 0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 36, 38
PR_SET_SECCOMP, SECCOMP_MODE_FILTER, SECCOMP_ALLOW, SECCOMP_REFUSE, SECCOMP_KILL = 22, 2, 0x7FFF0000, 0x00050001, 0x80000000
BPF_LOAD, BPF_EQUAL, BPF_AT_LEAST, BPF_RETURN = 0x20, 0x15, 0x35, 0x06
CAPABILITY_VERSION_3 = 0x20080522

INSIDE = 1000
"""The user and group that the program is, seen from inside."""
SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store", "/etc/ld.so.cache")
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
REFUSED = {
    "x86_64": (0xC000003E, [29, 64, 68, 101, 165, 248, 249, 250, 272, 298, 308, 310, 311, 319, 321, 323, 425, 428, 430, 438, 447]),
    "aarch64": (0xC00000B7, [194, 190, 186, 117, 40, 217, 218, 219, 97, 241, 268, 270, 271, 279, 280, 282, 425, 428, 430, 438, 447]),
}
"""By machine: its number for the kernel, and those of the calls shmget, semget, msgget, ptrace, mount, add_key, request_key,
keyctl, unshare, perf_event_open, setns, process_vm_readv, process_vm_writev, memfd_create, bpf, userfaultfd, io_uring_setup,
open_tree, fsopen, pidfd_getfd and memfd_secret. They give memory that no limit counts, the memory of other processes, or
large parts of the kernel that no answer needs."""

SOCKET_SYSCALL = {"x86_64": 41, "aarch64": 198}
"""By machine, the number of the call `socket`."""
FAMILIES = (1, 2, 10, 16)
"""Address families that a program may have a socket of: UNIX, IPv4, IPv6 and netlink, which all end at the walls of its network namespace.
Others do not: AF_VSOCK reaches the host of a virtual machine, AF_ALG and many more reach large parts of the kernel."""

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *values: Any) -> None:
    """Call a function of the C library; raises OSError, naming it, if it fails."""
    if getattr(libc, name)(*[value.encode() if isinstance(value, str) else value for value in values]) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), " ".join([name, *[str(value) for value in values if isinstance(value, str)]]))


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    call("mount", source, target, kind, ctypes.c_ulong(flags), options)


def enter(job: dict[str, Any]) -> None:
    """Return in the keeper, inside the new namespaces and the new root; the outer process never returns."""
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    new_namespaces(*identities())
    keeper = os.fork()
    if keeper:
        os.waitpid(keeper, 0)
        os._exit(0)
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    build_root(job["folder"], job["disk"])


def identities() -> tuple[str, str]:
    """The lines of uid_map and gid_map.

    The kernel enforces no process limit on user 0 of the machine, whatever it is mapped to, so for root the program runs as an
    unused user: one of the highest ids that are available. An ordinary user stays the same user.
    """
    if os.geteuid() != 0:
        return f"{INSIDE} {os.geteuid()} 1\n", f"{INSIDE} {os.getegid()} 1\n"
    with open("/proc/self/uid_map", encoding="ascii") as file:
        top = max(int(first) + int(count) - 1 for first, _, count in map(str.split, file))
    if top == 0:
        return f"{INSIDE} 0 1\n", f"{INSIDE} 0 1\n"
    stranger = top if top < 1 << 17 else min(top, 2_000_000_000 + int.from_bytes(os.urandom(2)))
    return (f"0 0 1\n{INSIDE} {stranger} 1\n",) * 2


def new_namespaces(users: str, groups: str) -> None:
    """Leave the namespaces of the machine. A helper that stays outside writes the maps: only it has the right to."""
    ready, go = os.pipe()
    outer = os.getpid()
    helper = os.fork()
    if not helper:
        os.close(go)
        try:
            if os.read(ready, 1):
                for name, text in {"setgroups": "deny" if users.count("\n") == 1 else "", "uid_map": users, "gid_map": groups}.items():
                    write(f"/proc/{outer}/{name}", text)
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    call("unshare", NEW_USER | NEW_NS | NEW_PID | NEW_NET | NEW_IPC | NEW_UTS)
    os.write(go, b"!")
    if code := os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1]):
        raise OSError(code, os.strerror(code), "uid_map")


def write(path: str, text: str) -> None:
    if text:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)


def build_root(root: str, disk: int) -> None:
    """Make a root of the standard library, read only, and an empty /tmp of `disk` bytes in memory; leave all else behind."""
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID, "size=1m,mode=755")
    for path in needed_paths():
        bind_path(root, path)
    for path in ("/tmp", "/proc"):
        os.mkdir(root + path)
    mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    write(root + "/proc/sys/user/max_user_namespaces", "0")
    remount_read_only(root)
    mount("tmpfs", root + "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"size={disk},nr_inodes=10000,mode=700,uid={INSIDE},gid={INSIDE}")
    os.chdir(root)
    call("pivot_root", ".", ".")
    call("umount2", ".", MNT_DETACH)
    os.chdir("/tmp")


def needed_paths() -> list[str]:
    """Paths that the interpreter and its shared libraries need, outer folders first, without repeats."""
    python = {sys.base_prefix, sys.base_exec_prefix, os.path.dirname(os.__file__)}
    paths = sorted(path for path in {*SYSTEM, *DEVICES, *python} if path != "/" and os.path.lexists(path))
    return [path for path in paths if not any(path.startswith(other + "/") for other in paths if not os.path.islink(other))]


def bind_path(root: str, path: str) -> None:
    """Bind-mount a file or folder at the same path under the new root; a link stays a link."""
    os.makedirs(root + os.path.dirname(path), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), root + path)
        return
    if os.path.isdir(path):
        os.mkdir(root + path)
    else:
        os.close(os.open(root + path, os.O_CREAT, 0o644))
    mount(path, root + path, "", MS_BIND | MS_REC)


def remount_read_only(root: str) -> None:
    """Remount everything under the root read only; flags that the host has set on a mount must stay."""
    flag_values = {"nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC}
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = [line.split() for line in file]
    for fields in mounts:
        mount_point = fields[4].encode().decode("unicode_escape").encode("latin-1").decode()
        if mount_point == root or mount_point.startswith(root + "/"):
            flags = (
                MS_REMOUNT
                | MS_BIND
                | MS_RDONLY
                | MS_NOSUID
                | sum(flag_values[name] for name in fields[5].split(",") if name in flag_values)
            )
            device = mount_point.removeprefix(root) in DEVICES
            mount("none", mount_point, "", flags if device else flags | MS_NODEV)


def give_up_rights() -> None:
    """Drop all privileges for good."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(INSIDE, INSIDE, INSIDE)
    for capability in range(64):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            break
    if os.geteuid() == 0:
        os.setresuid(INSIDE, INSIDE, INSIDE)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    call("capset", header, none)
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    filter_calls()


def filter_calls() -> None:
    """Have the kernel refuse the calls of REFUSED and sockets beyond FAMILIES (EPERM), and every call made as another machine.

    No filter on other machines.
    """
    machine = os.uname().machine
    if machine not in REFUSED or sys.maxsize < 1 << 32:
        return
    number, calls = REFUSED[machine]
    start = [(BPF_LOAD, 0, 0, 4), (BPF_EQUAL, 1, 0, number), (BPF_RETURN, 0, 0, SECCOMP_KILL), (BPF_LOAD, 0, 0, 0)]
    tests = [(BPF_AT_LEAST, 0x40000000), *((BPF_EQUAL, call_number) for call_number in calls)]  # the calls of x32 begin there
    sockets = [(BPF_EQUAL, 0, len(FAMILIES) + 1, SOCKET_SYSCALL[machine]), (BPF_LOAD, 0, 0, 16)]  # offset 16: the first argument
    sockets += [(BPF_EQUAL, len(FAMILIES) - index, 0, family) for index, family in enumerate(FAMILIES, 1)]
    sockets[-1] = (BPF_EQUAL, 0, 1, FAMILIES[-1])
    to_refusal = len(tests) + len(sockets)
    refused = [(test, to_refusal - index, 0, value) for index, (test, value) in enumerate(tests)]
    steps = [*start, *refused, *sockets, (BPF_RETURN, 0, 0, SECCOMP_ALLOW), (BPF_RETURN, 0, 0, SECCOMP_REFUSE)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    # struct sock_fprog: the number of steps and where they are.
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0)
