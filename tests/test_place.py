"""Where goalloc is not in place, or only counts, every display of the heap says so in one line."""

import textwrap

import pytest
from htmlcheck import parsed, text_of
from pychild import needs_replaceable

import goalloc

VIEWS = "heap_profile", "memstats", "snapshot", "memory_bill", "fragmentation"
HOW = "start it with `python -m goalloc run`, or call goalloc.install()"


def child(program):
    return textwrap.dedent(program).replace("VIEWS", repr(VIEWS))


def test_every_view_says_so(python):
    program = """
        import goalloc, pickle
        views = [getattr(goalloc, name)() for name in VIEWS]
        views.append(views[2].diff(views[2]))
        views.append(views[2].fragmentation())
        try: views[2].arena_map()
        except ValueError as error: assert "no arenas in this snapshot: goalloc is not in place" in str(error)
        goalloc.install("wrap")  # they are of the moment when they were taken
        for v in views + pickle.loads(pickle.dumps(views)):
            html = v.top()._repr_html_() if hasattr(v, "top") else v._repr_html_()
            print([line for line in f"{v}\\n{html}".split("\\n") if "not in place" in line])
        """
    lines = python.output("-c", child(program)).splitlines()
    assert len(lines) == 2 * (len(VIEWS) + 2)
    for line in lines:
        assert line.count(f"goalloc is not in place in this process: {HOW}") == 2, line
        assert "nothing is fragmented" not in line


@needs_replaceable
def test_blocks_of_before_are_told(python):
    program = """
        import goalloc
        with goalloc.installed():
            kept = [str(n) for n in range(10_000)]
            assert not any("no new blocks" in str(getattr(goalloc, name)()) for name in VIEWS)
            assert goalloc.memstats().note == goalloc.fragmentation().note == ""
        for name in VIEWS:
            print("\\n".join(str(getattr(goalloc, name)()).split("\\n")[:2]))
        print(repr(goalloc.memstats()))
        """
    text = python.output("-c", child(program), env={"GOALLOC_PROFILE_RATE": "1"})
    told = "goalloc serves no new blocks of Python's in this process: these are older ones, or those of extensions"
    assert text.count(told) == len(VIEWS) + 1
    assert "of free slots are held" in text


def test_of_wrap_mode_fragmentation_is_not_known(python):
    program = """
        import goalloc
        goalloc.install("wrap")
        for f in (goalloc.fragmentation(), goalloc.snapshot().fragmentation()):
            print(f, f._repr_html_())
        """
    text = python.output("-c", child(program))
    assert text.count("in wrap mode it is not known what is live and where") == 4
    assert "nothing is fragmented" not in text


@pytest.mark.parametrize("view", ["memstats", "snapshot"])
def test_a_heap_of_ones_own_has_no_place(heap, view):
    taken = getattr(heap, view)()
    for shown in (str(taken), text_of(parsed(taken._repr_html_()))):
        assert "place" not in shown and "0 blocks live" in shown
    assert heap.memstats().note == heap.snapshot().fragmentation().note == ""


def test_measuring_needs_a_place():
    if goalloc.mode() is None:
        with pytest.raises(goalloc.InstallError, match="not in place"), goalloc.profile():
            pass
