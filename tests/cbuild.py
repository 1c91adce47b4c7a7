"""Builds the C core outside of Python, for the tests of its floors.

One static library per sanitizer from every file of csrc that needs no Python.h, with the lock ranks
checked; a test program takes from it what it names.

CC and AR may be those of another processor, with what runs its programs here in GOALLOC_RUNNER
("qemu-aarch64 -L /usr/aarch64-linux-gnu").
"""

import concurrent.futures
import functools
import os
import platform
import re
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
CTESTS = ROOT / "tests" / "c"

CC = shlex.split(os.environ.get("CC") or "cc")
RUNNER = shlex.split(os.environ.get("GOALLOC_RUNNER") or "")
FLAGS = [
    "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-DGA_DEBUG_LOCKS",
    f"-I{CSRC}", f"-I{CTESTS}",
]
SANITIZERS = {
    "asan": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
    "tsan": ["-fsanitize=thread"],
    "plain": [],
    "asan-client": [
        "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-DGA_CLIENT_ASAN",
    ],
    "valgrind-client": ["-DGA_CLIENT_VALGRIND"],
}
if RUNNER:  # of the sanitizers' runtimes some do not start under an emulator, and some do not end
    SANITIZERS["asan"] = []
JOBS = 2
PROGRAMS = {"preload.c"}  # files of csrc that are programs of their own
SECONDS = 1500 if RUNNER else 300  # a test program that runs longer hangs


class BuildError(Exception):
    """The compiler's complaint."""


def includes(path):
    """What a file includes: ['base.h', '<stdint.h>', ...]."""
    found = re.findall(r'^\s*#\s*include\s+(?:"([^"]+)"|(<[^>]+>))', path.read_text(), re.M)
    return [own or system for own, system in found]


def needs_python(path):
    """Whether Python.h comes in, directly or through a header of csrc."""
    waiting, seen = [path], set()
    while waiting:
        file = waiting.pop()
        seen.add(file)
        for name in includes(file):
            if name == "<Python.h>":
                return True
            if (CSRC / name).is_file() and CSRC / name not in seen:
                waiting.append(CSRC / name)
    return False


def core_sources():
    return [
        file for file in sorted(CSRC.glob("*.c"))
        if file.name not in PROGRAMS and not needs_python(file)
    ]


def first_comment(path):
    return re.match(r"\s*(/\*.*?\*/)?", path.read_text(), re.S).group(1) or ""


def compile_c(*args):
    done = subprocess.run([*CC, *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(done.stdout + done.stderr)


def check_header(path):
    """Compiles a header alone."""
    python = f"-I{sysconfig.get_path('include')}"
    compile_c(*FLAGS, python, "-Wno-unused", "-fsyntax-only", "-x", "c", path)


class Builder:
    """Compiles into one directory, each thing once."""

    def __init__(self, directory):
        self.directory = Path(directory)

    @functools.cache
    def library(self, sanitizer):
        out = self.directory / sanitizer
        out.mkdir()

        def compile_object(source):
            target = out / f"{source.stem}.o"
            compile_c(*FLAGS, *SANITIZERS[sanitizer], "-c", source, "-o", target)
            return target

        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            objects = list(pool.map(compile_object, core_sources()))
        library = out / "libgoalloc.a"
        ar = shlex.split(os.environ.get("AR") or "ar")
        subprocess.run([*ar, "rcs", library, *objects], check=True)
        return library

    @functools.cache
    def program(self, source, sanitizer):
        library = self.library(sanitizer)
        target = library.parent / source.stem
        compile_c(*FLAGS, *SANITIZERS[sanitizer], source, library, "-pthread", "-lm", "-o", target)
        return target

    @functools.cache
    def preloaded(self, name):
        """c/{name}.c as a library for LD_PRELOAD."""
        target = self.directory / f"{name}.so"
        compile_c(*FLAGS, "-shared", "-fPIC", CTESTS / f"{name}.c", "-o", target, "-ldl")
        return target

    @functools.cache
    def runner(self, sanitizer):
        """The command line before a program of this sanitizer; None: its programs do not run here.

        The runtime of ThreadSanitizer stops at addresses that it has not planned for; where the
        kernel spreads them too wide it needs them unspread.
        """
        source = self.directory / f"probe_{sanitizer}.c"
        source.write_text("int main(void) { return 0; }\n")
        program = source.with_suffix("")
        try:
            compile_c(*SANITIZERS[sanitizer], source, "-o", program)
        except BuildError:
            return None
        prefixes = [RUNNER]
        if not RUNNER and shutil.which("setarch"):
            prefixes.append(["setarch", platform.machine(), "-R"])
        for prefix in prefixes:
            if subprocess.run([*prefix, program], capture_output=True).returncode == 0:
                return prefix
        return None

    def run(self, source, sanitizer, *args, env=None):
        command = [*self.runner(sanitizer), self.program(source, sanitizer), *args]
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=SECONDS,
            cwd=self.directory, env={**os.environ, **(env or {})},
        )
        if RUNNER:  # of the emulator's own
            done.stderr = re.sub(r"^qemu: uncaught target signal .*\n", "", done.stderr, flags=re.M)
        return done
