"""Fuzzes the C core by inputs that are kept when they reach something new: libFuzzer or AFL++ makes the
decisions of the driver in c/fuzz.c.

    python tests/fuzz_guided.py --seconds 1200
    python tests/fuzz_guided.py --engine afl --into /tmp/fuzz

libFuzzer needs clang with its runtime, and runs under ASan and UBSan; AFL++ needs afl-clang-fast, and has
the checks of the driver alone.  Everything goes into one folder: the program, the corpus, which another
run goes on from, and what was found.  Status 0: nothing was; 1: something; 2: it can't be built or run.
"""

import argparse
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cbuild

FUZZ = cbuild.CTESTS / "fuzz.c"
# They look at every page and every bit: what they branch on is told by the operations before them, and
# to note it would take most of the time.
UNGUIDED = {"check.c", "inspect.c"}
SEEDS = 64
INPUT_MAX = 4096  # bytes; some 800 operations


@dataclass(frozen=True)
class Engine:
    compiler: str
    guide: list[str]  # flags of files that are watched
    flags: list[str]
    link: list[str]


ENGINES = {
    "libfuzzer": Engine(
        "clang",
        # Without trace-cmp: decisions are remainders, and there are no magic numbers to guess.
        ["-fsanitize=fuzzer-no-link", "-fno-sanitize-coverage=trace-cmp"],
        ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
        ["-fsanitize=fuzzer"],
    ),
    "afl": Engine("afl-clang-fast", [], [], ["-fsanitize=fuzzer"]),
}


@dataclass(frozen=True)
class Result:
    executions: int
    edges: int  # of the core and the driver that were reached
    corpus: int  # inputs that were kept
    found: list[Path]


def works(engine, directory):
    """Whether the compiler is there, and makes a program that runs."""
    source = Path(directory) / "probe.c"
    source.write_text("int LLVMFuzzerTestOneInput(const char *p, long n) { return p == 0 && n < 0; }\n")
    program = source.with_suffix("")
    try:
        compile_c(engine, *engine.flags, *engine.link, source, "-o", program)
        ran = subprocess.run([program, source], capture_output=True)
    except (cbuild.BuildError, OSError):
        return False
    return ran.returncode == 0


def compile_c(engine, *args):
    command = [engine.compiler, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"AFL_QUIET": "1"})
    if done.returncode:
        raise cbuild.BuildError(done.stdout + done.stderr)


def build(engine, directory):
    """The program, in a folder that is there."""
    objects = []
    for source in [*cbuild.core_sources(), FUZZ]:
        guide = [] if source.name in UNGUIDED else engine.guide
        objects.append(Path(directory) / f"{source.stem}.o")
        compile_c(engine, *cbuild.FLAGS, "-DFUZZ_GUIDED", *engine.flags, *guide, "-c", source,
                  "-o", objects[-1])
    program = Path(directory) / "program"
    compile_c(engine, *engine.flags, *engine.link, *objects, "-pthread", "-lm", "-o", program)
    return program


def write_seeds(directory, seed):
    """Any bytes are a program: the longer ones do more."""
    rng = random.Random(seed)
    for i in range(SEEDS):
        size = rng.randrange(16, INPUT_MAX)
        (Path(directory) / f"seed-{i:02}").write_bytes(rng.randbytes(size))


def run_libfuzzer(program, into, seconds, seed):
    found = into / "found"
    command = [
        program, into / "corpus", f"-max_total_time={seconds}", f"-max_len={INPUT_MAX}",
        "-len_control=0", f"-seed={seed % 2**31 + 1}", f"-artifact_prefix={found}{os.sep}",
        "-print_final_stats=1", "-detect_leaks=0", "-timeout=3600", "-report_slow_units=3600",
    ]
    output = (into / "log").open("w+")
    with output:
        status = subprocess.run(command, stdout=output, stderr=output).returncode
        output.seek(0)
        text = output.read()
    executions = re.findall(r"^stat::number_of_executed_units: *(\d+)", text, re.M)
    edges = re.findall(r"cov: (\d+)", text)
    if not executions or not edges or (status != 0 and not any(found.iterdir())):
        raise RuntimeError(text[-2000:])
    corpus = sum(1 for _ in (into / "corpus").iterdir())
    return Result(int(executions[-1]), int(edges[-1]), corpus, sorted(found.iterdir()))


def run_afl(program, into, seconds, seed):
    settings = {
        "AFL_NO_UI": "1", "AFL_SKIP_CPUFREQ": "1", "AFL_NO_AFFINITY": "1", "AFL_AUTORESUME": "1",
        "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1",
    }
    command = [
        "afl-fuzz", "-i", into / "corpus", "-o", into / "afl", "-V", str(seconds), "-t", "60000",
        "-G", str(INPUT_MAX), "-s", str(seed), "--", program,
    ]
    with (into / "log").open("w") as output:
        subprocess.run(command, stdout=output, stderr=output, env=os.environ | settings)
    state = into / "afl" / "default"
    if not (state / "fuzzer_stats").exists():
        raise RuntimeError((into / "log").read_text()[-2000:])
    stats = dict(re.findall(r"^(\w+) *: (.*)$", (state / "fuzzer_stats").read_text(), re.M))
    return Result(int(stats["execs_done"]), int(stats["edges_found"]), int(stats["corpus_count"]),
                  sorted((state / "crashes").glob("id*")))


RUNS = {"libfuzzer": run_libfuzzer, "afl": run_afl}


def fuzz(name, into, seconds, seed):
    """Builds into a folder, and fuzzes there."""
    folders = {part: Path(into) / part for part in ("build", "corpus", "found")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    program = build(ENGINES[name], folders["build"])
    if not any(folders["corpus"].iterdir()):
        write_seeds(folders["corpus"], seed)
    return RUNS[name](program, Path(into), seconds, seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0].replace("\n", " "))
    parser.add_argument("--engine", choices=sorted(ENGINES), default="libfuzzer")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("--into", type=Path, help="the folder (default: a new one)")
    parser.add_argument("--seed", type=int, default=random.getrandbits(31))
    options = parser.parse_args()
    into = options.into or Path(tempfile.mkdtemp(prefix="goalloc-fuzz-"))
    print(f"seed {options.seed}, in {into}", flush=True)
    into.mkdir(parents=True, exist_ok=True)
    if not works(ENGINES[options.engine], into):
        print(f"{ENGINES[options.engine].compiler} is not there, or has no fuzzer", file=sys.stderr)
        return 2
    try:
        result = fuzz(options.engine, into, options.seconds, options.seed)
    except (cbuild.BuildError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{result.executions} executions, {result.edges} edges, {result.corpus} inputs in the corpus, "
          f"{len(result.found)} findings")
    for path in result.found:
        print("replay:", shlex.join([str(into / "build" / "program"), str(path)]))
    return 1 if result.found else 0


if __name__ == "__main__":
    sys.exit(main())
