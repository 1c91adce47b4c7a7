"""pprof files: what goalloc writes, Go's own tool reads with the same numbers, and back."""

import gzip
import os
import random
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from profiledata import core_profile, large_core_profile

import goalloc
from goalloc import HeapProfile
from goalloc.profiles import pprof_read

GO = shutil.which("go")
needs_go = pytest.mark.skipif(GO is None, reason="needs go, for its pprof")

UNITS = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}


@pytest.fixture
def profile():
    return HeapProfile._from_core(core_profile(), program="/srv/app/main.py")


def pprof(*args, folder):
    command = [GO, "tool", "pprof", "-symbolize=none", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def exact(text):
    """Bytes or a count as pprof prints it; exact with -unit=B."""
    number, unit = re.fullmatch(r"(-?[\d.]+)([kMG]?B)?", text).groups()
    return int(float(number) * UNITS.get(unit, 1))


def table(text):
    """flat and cum by name, of -top."""
    rows = text[text.index("flat%") :].splitlines()[1:]
    split = [row.split(maxsplit=5) for row in rows]
    return {row[5].removesuffix(" (inline)"): (exact(row[0]), exact(row[3])) for row in split}


def ours(profile, **options):
    return {row.name: (row.flat, row.cum) for row in profile.top(None, **options)}


# --- as Go writes it --------------------------------------------------------------------------


def fields(data):
    return list(pprof_read._fields(data))


def test_fields_are_those_of_go(profile):
    data = profile.to_pprof()
    assert data[:2] == b"\x1f\x8b"
    parts = fields(gzip.decompress(data))
    assert parts == fields(profile.to_pprof(compress=False))
    strings = [value.decode() for field, value in parts if field == 6]
    assert strings[0] == ""

    def value_type(value):
        of = dict(fields(value))
        return strings[of[1]], strings[of[2]]

    by_field = {}
    for field, value in parts:
        by_field.setdefault(field, []).append(value)
    assert [value_type(v) for v in by_field[1]] == [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ]
    assert [value_type(v) for v in by_field[11]] == [("space", "bytes")]
    assert by_field[12] == [512 * 1024]
    assert by_field[9] == [1_700_000_000_000_000_000]
    assert 14 not in by_field and 13 not in by_field
    order = list(dict.fromkeys(field for field, _ in parts))
    assert order == [11, 12, 1, 5, 4, 2, 9, 3, 6]
    first = fields(by_field[2][0])
    assert [field for field, _ in first] == [1, 2, 3, 3, 3, 3]
    assert list(first[0][1]) == [1, 2, 3, 4]
    labels = [dict(fields(value)) for field, value in first if field == 3]
    assert {strings[of[1]]: of.get(3) or strings[of[2]] for of in labels} == {
        "bytes": 4096, "domain": "obj", "thread": "MainThread", "thread_id": 4001,
    }  # fmt: skip


def test_short_stacks_are_not_packed_as_in_go(profile):
    samples = [value for field, value in fields(profile.to_pprof(compress=False)) if field == 2]
    in_worker = fields(samples[4])
    assert [(field, type(value)) for field, value in in_worker[:2]] == [(1, int), (1, int)]


def test_values_at_the_peak_come_on_demand(profile):
    data = profile.to_pprof(peak=True, compress=False)
    parts = fields(data)
    strings = [value.decode() for field, value in parts if field == 6]
    names = [strings[dict(fields(value))[1]] for field, value in parts if field == 1]
    assert names[4:] == ["peak_objects", "peak_space"]
    assert [strings[value] for field, value in parts if field == 14] == ["inuse_space"]


# --- back -------------------------------------------------------------------------------------


def test_what_is_written_is_read_back(profile, tmp_path):
    path = tmp_path / "heap.pb.gz"
    profile.write_pprof(path, peak=True)
    back = goalloc.read_profile(path)
    assert back.samples == profile.samples
    assert (back.rate, back.about.time_ns, back.about.program) == (
        profile.rate, profile.about.time_ns, "/srv/app/main.py",
    )  # fmt: skip
    assert back.diff(profile).samples == ()
    assert [entry.name for entry in tmp_path.iterdir()] == ["heap.pb.gz"]


def test_without_the_peak_it_is_told_that_it_is_not_known(profile):
    back = HeapProfile.from_pprof(profile.to_pprof())
    assert [s[:8] for s in back.samples] == [s[:8] for s in profile.samples]
    assert {s.peak_space for s in back.samples} == {None}
    for call in (lambda: back.top(value="peak_space"), lambda: back.to_pprof(peak=True)):
        with pytest.raises(ValueError, match="does not tell what was in use at the peak"):
            call()
    assert "peak" not in back.flamegraph().data()["own"]
    assert profile.merge(back).about.has_peak is False


def test_differences_survive(profile):
    less = profile.filter(thread=4002).diff(profile)
    back = HeapProfile.from_pprof(less.to_pprof(peak=True))
    assert back.samples == less.samples and back.is_diff
    assert back.total() == less.total() < 0


def test_names_that_are_no_utf8_and_hostile_ones(profile):
    raw = core_profile()
    raw["functions"][1] = ("mäin\udc80</script>", "/srv/\udcff.py", 10)
    data = HeapProfile._from_core(raw).to_pprof()
    names = {f.function for s in HeapProfile.from_pprof(data).samples for f in s.stack}
    assert "mäin\\udc80</script>" in names


def test_go_names_are_taken_apart():
    raw = core_profile(
        functions=[("net/http.(*Server).Serve", "/go/src/net/http/server.go", 9)] * 7
    )
    data = HeapProfile._from_core(raw, {"/go/src/net/http/server.go": ""}).to_pprof()
    frame = HeapProfile.from_pprof(data).samples[0].stack[0]
    assert (frame.module, frame.function) == ("net/http", "(*Server).Serve")
    assert frame.qualified == "net/http.(*Server).Serve"


GO_PROGRAM = """
package main
import ("os"; "runtime"; "runtime/pprof")
var kept [][]byte
func grow(n int) { for i := 0; i < n; i++ { kept = append(kept, make([]byte, 4096)) } }
func main() {
    runtime.MemProfileRate = 1
    grow(100)
    runtime.GC()
    pprof.WriteHeapProfile(os.Stdout)
}
"""


@needs_go
@pytest.mark.slow
def test_profiles_of_go_are_read(tmp_path):
    (tmp_path / "main.go").write_text(GO_PROGRAM)
    done = subprocess.run(
        [GO, "run", "main.go"], capture_output=True, cwd=tmp_path, timeout=300,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "GO111MODULE": "off"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    profile = HeapProfile.from_pprof(done.stdout)
    (blocks,) = (s for s in profile.samples if s.size == 4096)
    assert (blocks.inuse_objects, blocks.inuse_space) == (100, 409600)
    assert blocks.stack[0].function == "grow" and blocks.stack[0].module == "main"
    (tmp_path / "go.pb.gz").write_bytes(done.stdout)
    top = pprof("-top", "-unit=B", "-nodefraction=0", "-nodecount=0", "go.pb.gz", folder=tmp_path)
    assert table(top) == ours(profile)


# --- Go's own tool ----------------------------------------------------------------------------


@pytest.fixture
def files(profile, tmp_path):
    """A folder with heap.pb.gz, peak.pb.gz and less.pb.gz (an earlier one)."""
    profile.write_pprof(tmp_path / "heap.pb.gz")
    profile.write_pprof(tmp_path / "peak.pb.gz", peak=True)
    profile.filter(max_size=4095).write_pprof(tmp_path / "less.pb.gz")
    return tmp_path


@needs_go
@pytest.mark.parametrize("index", ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"])
def test_pprof_top_has_our_numbers(files, profile, index):
    text = pprof("-top", "-unit=B", f"-sample_index={index}", "heap.pb.gz", folder=files)
    assert f"Type: {index}" in text
    assert table(text) == ours(profile, value=index)


@needs_go
def test_pprof_shows_what_is_in_use_first(files, profile):
    for name in ("heap.pb.gz", "peak.pb.gz"):
        text = pprof("-top", "-unit=B", name, folder=files)
        assert "File: main.py" in text and "Type: inuse_space" in text
        assert table(text) == ours(profile)
    text = pprof("-top", "-unit=B", "-sample_index=peak_space", "peak.pb.gz", folder=files)
    assert table(text) == ours(profile, value="peak_space")


@needs_go
def test_pprof_by_line_and_by_file(files, profile):
    text = pprof("-top", "-unit=B", "-lines", "heap.pb.gz", folder=files)
    assert table(text) == ours(profile, by="line")
    text = pprof("-top", "-unit=B", "-files", "heap.pb.gz", folder=files)
    by_file = ours(profile, by="file")
    assert {name: row for name, row in table(text).items() if name in by_file} == {
        name: row for name, row in by_file.items() if name.startswith("/")
    }


@needs_go
def test_pprof_tree_and_peek(files, profile):
    decode = profile.top()[0]
    tree = pprof("-tree", "-unit=B", "heap.pb.gz", folder=files)
    (line,) = (
        row for row in tree.splitlines() if row.endswith("| json.decoder.JSONDecoder.decode")
    )
    assert exact(line.split()[0]) == decode.flat
    peek = pprof("-peek=JSONDecoder", "-unit=B", "heap.pb.gz", folder=files)
    callers = {"threading.Thread.run", "store.Store.load"}
    found = {
        row.split()[-1]: exact(row.split()[0])
        for row in peek.splitlines()
        if row.split()[-1:] and row.split()[-1] in callers
    }
    by_caller = {
        child.name: inner.total
        for child in walk(profile.tree().root)
        if child.name in callers
        for inner in child
    }
    assert found == by_caller and sum(found.values()) == decode.flat


def walk(node):
    yield node
    for child in node:
        yield from walk(child)


@needs_go
def test_pprof_diff_base(files, profile):
    text = pprof("-top", "-unit=B", "-diff_base=less.pb.gz", "heap.pb.gz", folder=files)
    difference = profile.diff(profile.filter(max_size=4095))
    shown = {name: row for name, row in table(text).items() if any(row)}
    assert shown == ours(difference)
    percent = re.search(r"(\S+)%\s+\S+%\s+\S+\s+\S+%\s+json", text)[1]
    assert float(percent) == pytest.approx(difference.top()[0].flat_percent, abs=0.01)
    text = pprof("-top", "-unit=B", "-base=heap.pb.gz", "heap.pb.gz", folder=files)
    assert not any(any(row) for row in table(text).values())


@needs_go
@pytest.mark.parametrize(
    "focus, wanted",
    [
        ("bytes=4kb:512kb", {"min_size": 4096}),
        ("3kb", {"min_size": 3072, "max_size": 3072}),
        ("domain=mem", {"domain": "mem"}),
        ("thread=filler", {"thread": "filler"}),
    ],
)
def test_pprof_tagfocus(files, profile, focus, wanted):
    text = pprof("-top", "-unit=B", f"-tagfocus={focus}", "heap.pb.gz", folder=files)
    assert table(text) == ours(profile.filter(**wanted))


@needs_go
def test_pprof_focus_is_our_filter(files, profile):
    text = pprof("-top", "-unit=B", "-focus=Store", "heap.pb.gz", folder=files)
    assert table(text) == ours(profile.filter(function="Store"))


@needs_go
def test_pprof_of_a_large_profile(tmp_path, seed):
    profile = HeapProfile._from_core(large_core_profile(5000, 30, seed))
    profile.write_pprof(tmp_path / "large.pb.gz")
    text = pprof(
        "-top", "-unit=B", "-nodecount=0", "-nodefraction=0", "large.pb.gz", folder=tmp_path
    )
    assert {n: row for n, row in table(text).items() if any(row)} == ours(profile)
    assert HeapProfile.from_pprof(profile.to_pprof(peak=True)).diff(profile).samples == ()


def fetch(address):
    """A page of a server that says where it is a little before it is there."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:
                return answer.read().decode()
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError(f"no answer from {address}")


@needs_go
def test_pprof_in_the_browser(files):
    """-http: the page of pprof loads, and its flame graph has our functions."""
    tool = subprocess.run(
        [GO, "tool", "-n", "pprof"], capture_output=True, text=True
    ).stdout.strip()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    command = [tool, "-symbolize=none", "-no_browser", f"-http={host}", "heap.pb.gz"]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=files)
    try:
        pages = {page: fetch(f"http://{host}/ui/{page}") for page in ("top", "flamegraph")}
    finally:
        server.kill()
        server.wait()
    for text in pages.values():
        assert "json.decoder.JSONDecoder.decode" in text


# --- what is no heap profile ------------------------------------------------------------------


def message(field, data):
    return bytes([field << 3 | 2, len(data)]) + data


BOMB = gzip.compress(b"\0" * (1 << 20))


@pytest.mark.parametrize(
    "data, told",
    [
        (b"", "it is empty"),
        (b"hello, world, this is text", "not a pprof profile"),
        (b"\x1f\x8bnonsense", "damaged gzip data"),
        (gzip.compress(b"x" * 1000)[:-20], "damaged gzip data"),
        (gzip.compress(b""), "it is empty"),
        (b"\x0a\xff\xff\xff\xff\x0f", "goes beyond the end"),
        (b"\x08" + b"\xff" * 11, "a number without an end"),
        (message(6, b"x"), "no table of strings"),
        (message(6, b""), "not a heap profile: it has no values"),
        (b"\x30\x01", "a number where a message should be"),
        (message(6, b"") + message(1, b"\x08\x7f"), "an index leads nowhere"),
    ],
)
def test_what_is_no_profile_is_told(data, told, tmp_path):
    path = tmp_path / "some.file"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=told) as caught:
        goalloc.read_profile(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_other_profiles_are_told():
    strings = b"".join(message(6, text) for text in (b"", b"cpu", b"nanoseconds"))
    with pytest.raises(ValueError, match="not a heap profile: it has cpu instead of alloc_objects"):
        HeapProfile.from_pprof(message(1, b"\x08\x01\x10\x02") + strings)


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        goalloc.read_profile(tmp_path / "none")


def test_bounds(profile, monkeypatch):
    data = profile.to_pprof()
    for name, limit, told in (
        ("LIMIT", 100, "MiB"),
        ("MAX_SAMPLES", 3, "more than 3 samples"),
        ("MAX_FIELDS", 9, "more than 9 parts"),
        ("MAX_DEPTH", 3, "a stack of more than 3 frames"),
        ("MAX_FRAMES", 8, "more than 8 frames in all"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(pprof_read, name, limit)
            with pytest.raises(ValueError, match=told):
                HeapProfile.from_pprof(data)
    monkeypatch.setattr(pprof_read, "LIMIT", 1 << 19)
    with pytest.raises(ValueError, match="more than 0 MiB unpacked"):
        HeapProfile.from_pprof(BOMB)


def test_damaged_profiles_raise_value_errors_only(profile, seed):
    rng = random.Random(seed)
    good = profile.to_pprof(peak=True, compress=False)
    read = 0
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
            if rng.random() < 0.3:
                del data[rng.randrange(1, len(data) + 1) :]
        try:
            damaged = HeapProfile.from_pprof(bytes(data))
            (
                damaged.top(),
                damaged.samples,
                damaged.to_pprof(),
                str(damaged.tree()),
                damaged.flamegraph().data(),
            )
            read += 1
        except ValueError as error:
            assert "\n" not in str(error)
    assert 0 < read < 3000
