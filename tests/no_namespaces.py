"""A machine whose kernel gives no namespaces, for programs that run in a child process."""

SETUP = """
import ctypes, os
user = os.geteuid()
libc = ctypes.CDLL(None)
assert libc.unshare(0x10000000) == 0
open("/proc/self/setgroups", "w").write("deny")
open("/proc/self/uid_map", "w").write(f"0 {user} 1")
open("/proc/sys/user/max_user_namespaces", "w").write("0")
"""
"""Begins such a program: a user namespace of its own, in which no further one may be made."""
