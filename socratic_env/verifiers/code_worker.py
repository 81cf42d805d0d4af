"""Runs functions that students wrote: `code_worker.py CPU_SECONDS BYTES SECONDS OUTPUT`.

Each line of the standard input is a task {"code", "function", "calls": [[argument, ...], ...]}. It is done in
a process of its own, forked from this one, from which the kernel has taken away everything but computing
and memory (see `_lock_up`) before any of the code runs. The answer is a line {"output", "status", "late",
"long"}: what that process wrote, and how it ended. It writes a line of JSON when it begins, and one for each
call: {"value", "arguments" after it} or {"raises": name}; or {"failed": why}. What is expected never comes
here: to judge is the caller's.
"""

import array  # noqa: F401
import bisect  # noqa: F401
import cmath  # noqa: F401
import collections  # noqa: F401
import copy  # noqa: F401
import ctypes
import dataclasses  # noqa: F401
import datetime  # noqa: F401
import decimal  # noqa: F401
import enum  # noqa: F401
import fractions  # noqa: F401
import functools  # noqa: F401
import heapq  # noqa: F401
import itertools  # noqa: F401
import json
import math  # noqa: F401
import operator  # noqa: F401
import os
import platform
import random  # noqa: F401
import re  # noqa: F401
import resource
import select
import signal
import statistics  # noqa: F401
import string  # noqa: F401
import struct
import sys
import textwrap  # noqa: F401
import time
import typing

# Machine -> (AUDIT_ARCH, numbers of the system calls that stay). Everything else fails with EPERM.
_ALLOWED = {
    "x86_64": (
        0xC000003E,
        (
            0,  # read
            1,  # write
            3,  # close
            5,  # fstat
            8,  # lseek
            9, 10, 11, 12,  # mmap, mprotect, munmap, brk
            14, 15,  # rt_sigprocmask, rt_sigreturn: what a signal does cannot be changed
            24,  # sched_yield
            25, 28,  # mremap, madvise
            35,  # nanosleep
            39,  # getpid
            60, 231,  # exit, exit_group
            96, 98, 102, 104,  # gettimeofday, getrusage, getuid, getgid
            131,  # sigaltstack
            186,  # gettid
            201, 202,  # time, futex
            228, 229, 230,  # clock_gettime, clock_getres, clock_nanosleep
            318,  # getrandom
        ),
    ),
    "aarch64": (
        0xC00000B7,
        (
            57, 62, 63, 64, 80,  # close, lseek, read, write, fstat
            93, 94, 98, 101,  # exit, exit_group, futex, nanosleep
            113, 114, 115, 124,  # clock_gettime, clock_getres, clock_nanosleep, sched_yield
            132, 135, 139,  # sigaltstack, rt_sigprocmask, rt_sigreturn: what a signal does stays
            165, 169, 172, 174, 176, 178,  # getrusage, gettimeofday, getpid, getuid, getgid, gettid
            214, 215, 216, 222, 226, 233,  # brk, munmap, mremap, mmap, mprotect, madvise
            278,  # getrandom
        ),
    ),
}  # fmt: skip
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2
_KILL, _REFUSE, _ALLOW = 0x80000000, 0x00050001, 0x7FFF0000


def _lock_up() -> str:
    """Let the kernel refuse all system calls but those of computing: no file is opened, no socket made, no
    process or thread started, no signal sent. "" or why it cannot be done."""
    machine = platform.machine()
    if machine not in _ALLOWED or sys.platform != "linux":
        return f"it needs Linux on {' or '.join(_ALLOWED)}, and this is {sys.platform} on {machine}"
    arch, numbers = _ALLOWED[machine]
    load, equal, give = 0x20, 0x15, 0x06
    steps = [
        (load, 0, 0, 4),  # the architecture
        (equal, 1, 0, arch),
        (give, 0, 0, _KILL),
        (load, 0, 0, 0),  # the number of the call
        *((equal, len(numbers) - i, 0, number) for i, number in enumerate(numbers)),
        (give, 0, 0, _REFUSE),
        (give, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_NO_NEW_PRIVS, 1, 0, 0, 0), (_SECCOMP, _FILTER, ctypes.addressof(program), 0, 0)):
        if libc.prctl(*(ctypes.c_ulong(each) for each in arguments)) != 0:
            return f"the kernel refuses to lock the process up (error {ctypes.get_errno()})"
    return ""


def _supervised(task: dict[str, typing.Any], limits: tuple[int, int], seconds: float, most: int) -> dict:
    """How a process of its own did a task; whatever it does, it has ended then."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDWR)
            results = os.dup2(writing, 3)
            for number in (0, 1, 2):
                os.dup2(nothing, number)
            os.closerange(4, 256)
            _run(task, results, limits)
        finally:
            os._exit(0)
    os.close(writing)
    end, output, late, long = time.monotonic() + seconds, bytearray(), False, False
    while not (late or long):
        left = end - time.monotonic()
        late = left <= 0 or not select.select([reading], [], [], left)[0]
        part = b"" if late else os.read(reading, 2**16)
        output += part
        long = len(output) > most
        if not part:
            break
    os.close(reading)
    done, status = os.waitpid(child, os.WNOHANG)
    while not (done or late or long):  # it closed its output, and may go on
        time.sleep(0.001)
        late = time.monotonic() > end
        done, status = os.waitpid(child, os.WNOHANG)
    if not done:
        os.kill(child, signal.SIGKILL)  # it could start no other
        _, status = os.waitpid(child, 0)
    text = bytes(output[:most]).decode("utf-8", "replace")
    return {"output": text, "status": os.waitstatus_to_exitcode(status), "late": late, "long": long}


def _run(task: dict[str, typing.Any], results: int, limits: tuple[int, int]) -> None:
    def say(record: dict[str, typing.Any]) -> None:
        os.write(results, json.dumps(record).encode() + b"\n")

    seconds, memory = limits
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # at the first one it is SIGXCPU
    for limit, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (most, most))
    why = _lock_up()
    say({"failed": "lock", "why": why} if why else {"begun": True})
    if why:
        return
    for name in ("ctypes", "_ctypes", "resource"):
        sys.modules.pop(name, None)
    scope: dict[str, typing.Any] = {"__name__": "answer"}
    try:
        exec(compile(task["code"], "<answer>", "exec"), scope)
        function = scope[task["function"]]
    except MemoryError:
        say({"failed": "memory"})
        return
    except SyntaxError:
        say({"failed": "syntax"})
        return
    except BaseException as error:  # noqa: BLE001
        missing = isinstance(error, KeyError) and task["function"] not in scope
        say({"failed": "missing" if missing else "raises", "why": type(error).__name__[:60]})
        return
    for arguments in task["calls"]:
        try:
            value = function(*arguments)
            say({"value": value, "arguments": arguments})
        except BaseException as error:  # noqa: BLE001
            say({"raises": type(error).__name__[:60]})


def _main() -> None:
    cpu, memory, seconds, most = map(int, sys.argv[1:])
    os.environ.clear()
    print("ready", flush=True)
    for line in sys.stdin.buffer:
        print(json.dumps(_supervised(json.loads(line), (cpu, memory), seconds, most)), flush=True)


if __name__ == "__main__":
    _main()
