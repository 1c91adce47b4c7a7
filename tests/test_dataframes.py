"""to_dataframe() and as_dict(): what is a table or a series has both, and they agree with the rest."""

import json

import pytest
from profiledata import core_profile

import goalloc
from goalloc import HeapProfile
from goalloc.timeline import MemoryTimeline, Moment


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas")


@pytest.fixture
def profile():
    return HeapProfile._from_core(core_profile())


@pytest.fixture
def timeline():
    timeline = MemoryTimeline()
    timeline._moments = [Moment(0.0, 9 << 20, 5 << 20, 1 << 20), Moment(0.5, 8 << 20, None, None)]
    timeline._marks = [(0.2, "loaded")]
    return timeline


def views(heap, profile, timeline):
    """Each view, and how many rows it must have."""
    blocks = [heap.malloc(3000) for _ in range(20)]
    before = heap.snapshot()
    heap.free(blocks[0])
    s = heap.snapshot()
    bill = goalloc.memory_bill()
    in_class = [span for span in s.spans if span.elem_size == 3072]
    return [
        (s, 134), (s.diff(before), len(s.diff(before).classes)), (s.fragmentation(), None),
        (s.arena_map(), sum(1 for _ in s.arena_map().pages())), (s.span_map(3000), len(in_class)),
        (heap.class_stats(), 134), (heap.spans(), len(heap.spans())), (heap.arenas(), 1),
        (goalloc.size_classes(), len(goalloc.size_classes())), (bill, len(bill.lines())),
        (timeline, 2), (profile, len(profile)), (profile.top(None), len(profile.top(None))),
        (profile.tree(), len(profile.tree().as_dict()["nodes"])),
    ]  # fmt: skip


def test_every_view_is_a_dataframe(pandas, heap, profile, timeline):
    for view, rows in views(heap, profile, timeline):
        frame = view.to_dataframe()
        assert isinstance(frame, pandas.DataFrame) and len(frame.columns) > 1, type(view)
        assert rows is None or len(frame) == rows, type(view)


def test_columns_add_up(pandas, heap, profile, timeline):
    top = profile.top(None).to_dataframe()
    assert top.flat.sum() == profile.total() == profile.to_dataframe().inuse_space.sum()
    tree = profile.tree().to_dataframe()
    assert tree.own.sum() == tree.total[0] == profile.total()
    assert tree.parent.isna().sum() == 1 and tree.parent[1] == 0
    frame = timeline.to_dataframe()
    assert list(frame.rss) == [9 << 20, 8 << 20] and frame.held.isna().tolist() == [False, True]
    blocks = [heap.malloc(700) for _ in range(30)]
    for p in blocks[::2]:
        heap.free(p)
    found = heap.snapshot().fragmentation()
    assert found.to_dataframe().held_bytes.sum() == found.held_bytes > 0
    assert len(found.to_dataframe("sites")) == 0 and "held_bytes" in found.to_dataframe("sites")


def test_what_is_ready_for_json(profile, timeline):
    for view in (profile, profile.diff(profile), profile.top(), profile.tree(), timeline):
        assert json.loads(json.dumps(view.as_dict())) == view.as_dict()
    assert timeline.as_dict()["marks"] == [{"seconds": 0.2, "text": "loaded"}]
    samples = profile.as_dict()["samples"]
    assert sum(sample["inuse_space"] for sample in samples) == profile.total()


def test_without_pandas_it_is_said_what_to_install(monkeypatch, profile, timeline):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    for view in (profile, profile.top(), timeline, goalloc.snapshot()):
        with pytest.raises(ImportError, match=r"pip install 'goalloc\[dataframe\]'"):
            view.to_dataframe()
