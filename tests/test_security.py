"""What stands beside the blocks in memory: nothing of ours that a stray write could reach."""

import textwrap

import pytest

MAPS = textwrap.dedent(
    """
    import goalloc
    keep = [bytearray(n) for n in range(0, 60_000, 7)] + [bytearray(200 << 20)]
    arenas = goalloc.arenas()
    mappings = []
    for line in open("/proc/self/maps"):
        ends, mode = line.split()[:2]
        mappings.append((*(int(end, 16) for end in ends.split("-")), mode))
    def is_arena(address):
        return any(a.start <= address < a.start + a.size for a in arenas)
    def mode_of(address):
        return next((m for low, high, m in mappings if low <= address < high), "none")
    beside = []
    for a in arenas:
        for address in (a.start - 1, a.start + a.size):
            if not is_arena(address):
                beside.append(mode_of(address))
    """
)


@pytest.mark.parametrize(
    "env",
    [{}, {"GOALLOC_RANDOM_ARENAS": "1"}, {"GOALLOC_LAYOUT": "linear", "GOALLOC_LINEAR_SIZE": "1GiB"}],
    ids=["sparse", "random", "linear"],
)
def test_no_writable_memory_borders_on_arenas(in_mode, env):
    """Before the first and behind the last there is nothing, or what nobody can touch."""
    code = MAPS + "assert len(arenas) > 3; print(*sorted({'w' in mode for mode in beside}))"
    if "GOALLOC_LAYOUT" in env:  # behind the window the system may put anything; not we
        code += "\nassert mode_of(arenas[0].start - 1)[:3] == '---'"
        code = code.replace("{'w' in mode for mode in beside}", "{'w' in beside[0]}")
    assert in_mode(code, env=env) == "False\n"


def test_arenas_at_random_places(in_mode):
    code = "import goalloc; print(*{a.start >> 26 for a in goalloc.arenas()})"
    usual = {in_mode(code) for _ in range(2)}
    random = {in_mode(code, env={"GOALLOC_RANDOM_ARENAS": "1"}) for _ in range(4)}
    assert len(usual) == 1
    assert len(random) == 4 and not random & usual
