"""Every tests/c/test_*.c under ASan+UBSan, and under TSan if its first comment says `threads:`.

Those that say `larger pages:` run on a system with larger pages, too: of GOALLOC_PAGE bytes.
"""

import os

import cbuild
import pytest

SOURCES = sorted(cbuild.CTESTS.glob("test_*.c"))
PAGE = os.environ.get("GOALLOC_PAGE", "65536")


def cases():
    for source in SOURCES:
        yield pytest.param(source, "asan", id=f"{source.stem}-asan")
        if "threads:" in cbuild.first_comment(source):
            yield pytest.param(source, "tsan", id=f"{source.stem}-tsan")


def check(builder, seed, source, sanitizer, env):
    done = builder.run(source, sanitizer, env={"GOALLOC_SEED": str(seed), **env})
    print(done.stdout + done.stderr)
    assert done.returncode == 0, f"{source.name} ended with {done.returncode}"


@pytest.mark.parametrize("source, sanitizer", list(cases()))
def test_unit(builder, seed, source, sanitizer):
    if builder.runner(sanitizer) is None:
        pytest.skip(f"programs built with {sanitizer} do not run here")
    check(builder, seed, source, sanitizer, {})


@pytest.mark.skipif(bool(cbuild.RUNNER), reason="the emulator itself has an option for that (-p)")
@pytest.mark.parametrize(
    "source", [s for s in SOURCES if "larger pages:" in cbuild.first_comment(s)], ids=lambda s: s.stem
)
def test_larger_pages(builder, seed, source):
    pages = {"LD_PRELOAD": str(builder.preloaded("pages")), "GOALLOC_PAGE": PAGE}
    check(builder, seed, source, "plain", pages)
