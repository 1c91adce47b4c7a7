"""Every tests/c/test_*.c under ASan+UBSan, and under TSan if its first comment says `threads:`."""

import cbuild
import pytest


def cases():
    for source in sorted(cbuild.CTESTS.glob("test_*.c")):
        yield pytest.param(source, "asan", id=f"{source.stem}-asan")
        if "threads:" in cbuild.first_comment(source):
            yield pytest.param(source, "tsan", id=f"{source.stem}-tsan")


@pytest.mark.parametrize("source, sanitizer", list(cases()))
def test_unit(builder, seed, source, sanitizer):
    if builder.runner(sanitizer) is None:
        pytest.skip(f"programs built with {sanitizer} do not run here")
    done = builder.run(source, sanitizer, env={"GOALLOC_SEED": str(seed)})
    print(done.stdout + done.stderr)
    assert done.returncode == 0, f"{source.name} ended with {done.returncode}"
