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
    assert goalloc.size_class_of(largest + 1) == classes[0]


def test_waste_is_what_the_worst_request_loses():
    for smaller, c in zip(goalloc.size_classes(), goalloc.size_classes()[1:]):
        used = (smaller.size + 1) * c.objects
        assert c.max_waste == pytest.approx(1 - used / c.span_bytes)
        assert c.objects * c.size + c.tail_waste == c.span_bytes


@pytest.mark.parametrize("bad, error", [(-1, ValueError), (1.5, TypeError), ("8", TypeError)])
def test_bad_sizes(bad, error):
    with pytest.raises(error):
        goalloc.size_class_of(bad)


def test_sizes_beyond_any_integer_of_c_are_large():
    assert goalloc.size_class_of(1 << 200).index == 0


def test_text_has_the_columns_of_go():
    heading, *lines = sizes_text(goalloc.size_classes()).splitlines()
    assert heading.split() == GOLDEN.read_text().splitlines()[0].split()
    assert [line.split() for line in lines] == list(golden_rows())
    assert len({len(line) for line in lines}) == 1
