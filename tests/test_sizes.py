"""The size classes: Go's table row by row, and the class of every small request."""

from pathlib import Path

import pytest

import goalloc
from goalloc.display.sizetable import sizes_text

GOLDEN = Path(__file__).parent / "data" / "sizeclasses_go113.txt"


def golden_rows():
    for line in GOLDEN.read_text().splitlines()[1:]:
        yield line.split()


def test_table_is_gos_row_by_row():
    rows = [
        [*map(str, c[:5]), f"{c.max_waste:.2%}"] for c in goalloc.size_classes() if c.index != 0
    ]
    assert rows == list(golden_rows())


def test_class_0_stands_for_large_objects():
    classes = goalloc.size_classes()
    assert len(classes) == 67
    assert classes[0] == (0, 0, 0, 0, 0, 0.0)


def test_every_small_request_gets_the_smallest_class_that_fits():
    classes = goalloc.size_classes()
    largest = classes[-1].size
    expected = 1
    for n in range(largest + 1):
        if n > classes[expected].size:
            expected += 1
        assert goalloc.size_class_of(n) == classes[expected], n
    assert goalloc.size_class_of(largest + 1).index == 0


@pytest.mark.parametrize("n", [32769, 40000, 40960, 40961, 10**6])
def test_a_large_request_takes_what_the_heap_gives_it(n):
    taken = goalloc.size_class_of(n)
    with goalloc.Heap() as heap:
        block = heap.malloc(n)
        assert (taken.index, taken.size, taken.objects) == (0, heap.usable_size(block), 1)
        assert taken.span_bytes == heap.span_of(block).npages * 8192
    least = taken.size - 8191
    assert goalloc.size_class_of(least) == taken != goalloc.size_class_of(least - 1)
    assert taken.max_waste == pytest.approx(1 - least / taken.size) and taken.tail_waste == 0


def test_waste_is_what_the_worst_request_loses():
    for smaller, c in zip(goalloc.size_classes(), goalloc.size_classes()[1:]):
        used = (smaller.size + 1) * c.objects
        assert c.max_waste == pytest.approx(1 - used / c.span_bytes)
        assert c.objects * c.size + c.tail_waste == c.span_bytes


@pytest.mark.parametrize(
    "bad, error",
    [(-1, ValueError), (1.5, TypeError), ("8", TypeError), (2**63, ValueError), (10**30, ValueError)],
)
def test_bad_sizes(bad, error):
    with pytest.raises(error):
        goalloc.size_class_of(bad)


def test_the_largest_request_that_a_heap_could_be_asked_for():
    assert goalloc.size_class_of(2**63 - 1).size == 2**63


def test_text_has_the_columns_of_go():
    heading, *lines = sizes_text(goalloc.size_classes()).splitlines()
    assert heading.split() == GOLDEN.read_text().splitlines()[0].split()
    assert [line.split() for line in lines] == list(golden_rows())
    assert len({len(line) for line in lines}) == 1
