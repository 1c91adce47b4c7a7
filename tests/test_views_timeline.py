"""Memory over time: the recorder ends, stays bounded and keeps peaks; its chart shows what it saw."""

import gc
import re
import threading

import pytest
from htmlcheck import parsed, text_of, titles
from pychild import wait_for

import goalloc
from goalloc.display.timechart import _byte_step, _time_step, buckets
from goalloc.timeline import MemoryTimeline, Moment, record

MIB = 1 << 20


def recorders():
    return [t for t in threading.enumerate() if t.name == "goalloc timeline"]


def made_up(*moments, marks=()):
    timeline = MemoryTimeline()
    timeline._moments = [Moment(*m) for m in moments]
    timeline._marks = list(marks)
    return timeline


@pytest.fixture
def rising():
    """20 moments, a second apart, with the peak at the tenth."""
    return made_up(
        *((i, (100 - 5 * abs(i - 10)) * MIB, 30 * MIB + i, 10 * MIB) for i in range(20)),
        marks=[(3.0, "load <b>&</b>"), (12.5, "idle " * 30)],
    )


# ---- recording ----------------------------------------------------------------------------------


def test_it_records_until_the_block_ends():
    with goalloc.record(0.01) as timeline:
        assert timeline.running and len(recorders()) == 1
        wait_for(lambda: len(timeline.moments) > 3)
        timeline.mark("here")
    assert not timeline.running and recorders() == []
    seconds = [m.seconds for m in timeline.moments]
    assert seconds == sorted(seconds) and seconds[0] >= 0
    assert all(m.rss > MIB and m.held >= m.live >= 0 for m in timeline.moments)
    assert timeline.marks[0][1] == "here"
    assert "ended" in repr(timeline) and "\n" not in repr(timeline)
    assert timeline.peak.rss == max(m.rss for m in timeline.moments)
    before = timeline.moments
    timeline.stop()
    assert timeline.moments == before


def test_it_sees_memory_come():
    with record(10) as timeline:
        kept = bytearray(b"x" * (64 * MIB))
    first, last = timeline.moments[0], timeline.moments[-1]
    assert last.rss - first.rss > 48 * MIB
    assert len(kept) == 64 * MIB


def test_a_recording_nobody_has_ends():
    timeline = record(0.01)
    assert timeline.running
    del timeline
    gc.collect()
    wait_for(lambda: recorders() == [])


def test_it_begins_once():
    timeline = record(60)
    with pytest.raises(RuntimeError, match="begun already"):
        timeline.start()
    timeline.stop()
    with pytest.raises(RuntimeError, match="begun already"):
        timeline.start()
    with pytest.raises(RuntimeError, match="has not begun"):
        MemoryTimeline().mark("too soon")


def test_it_is_bounded_and_keeps_the_peak():
    timeline = MemoryTimeline(0.5, limit=10)
    for i in range(1000):
        timeline._add(Moment(i / 2, 5000 if i == 777 else i, i, i))
        assert len(timeline.moments) <= 10
    assert timeline.peak.seconds == 777 / 2
    assert timeline.interval >= 0.5 * 64
    seconds = [m.seconds for m in timeline.moments]
    assert seconds == sorted(set(seconds))


def test_marks_are_bounded():
    with record(60) as timeline:
        for i in range(100):
            timeline.mark(i)
        with pytest.raises(ValueError, match="at most 100"):
            timeline.mark("more")
    parsed(timeline._repr_html_())


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf")])
def test_no_such_interval(interval):
    with pytest.raises(ValueError, match="interval must be above 0"):
        record(interval)


def test_no_such_limit():
    with pytest.raises(ValueError, match="at least 10"):
        record(limit=3)


def test_it_ends_with_the_process_and_stays_out_of_children(in_mode):
    code = (
        "import os, warnings, goalloc\n"
        "warnings.simplefilter('ignore')  # from 3.12 on: fork beside a thread\n"
        "timeline = goalloc.record(0.01)\n"
        "if (pid := os.fork()) == 0:\n"
        "    ok = not timeline.running\n"
        "    timeline.stop()\n"
        "    os._exit(0 if ok and len(timeline.moments) >= 2 else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), timeline.running)\n"
    )
    assert in_mode(code) == "0 True\n"


# ---- display ------------------------------------------------------------------------------------


def test_the_chart_has_every_moment(rising):
    tree = parsed(rising._repr_html_(), limit=40_000)
    lines = {p.get("class").split()[0]: p.get("d") for p in tree.iter("path") if " q" in
             p.get("class") and p.get("class").startswith("k")}  # fmt: skip
    assert set(lines) == {"kc1", "kc2", "kc4"}
    points = [tuple(map(float, xy)) for xy in re.findall(r"([\d.]+) ([\d.]+)", lines["kc4"])]
    assert len(points) == 20
    assert min(points, key=lambda xy: xy[1]) == points[10]
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert "100.0 MiB at most" in text_of(tree)


def test_the_chart_tells_on_hover(rising):
    told = titles(parsed(rising._repr_html_()))
    assert "10.0 s\nin RAM (RSS): 100.0 MiB\nheld by goalloc: 30.0 MiB\nlive blocks: 10.0 MiB" in told
    assert "3.0 s: load <b>&</b>" in told


def test_marks_are_escaped_and_short(rising):
    html = rising._repr_html_()
    assert "<b>&</b>" not in html and "load &lt;b&gt;&amp;&lt;/b&gt;" in html
    texts = [text.text for text in parsed(html).iter("text")]
    assert max(map(len, texts)) == 40


def test_a_long_recording_is_drawn_in_bounded_html():
    timeline = made_up(*((i, i * MIB, i, i) for i in range(1000)))
    tree = parsed(timeline._repr_html_(), limit=150_000)
    assert len(titles(tree)) == 200


def test_text(rising):
    lines = str(rising).splitlines()
    assert lines[0] == "memory over 19.0 s, 20 moments"
    bars = re.search(r"in RAM \(RSS\)\s+(\S+)\s+100.0 MiB\s+55.0 MiB$", lines[2])[1]
    assert len(bars) == 20 and bars[10] == "█"
    assert "load <b>&</b>" in lines[-2]


def test_in_wrap_mode_only_rss_is_known():
    timeline = made_up((0.0, 5 * MIB, None, None), (1.0, 6 * MIB, None, None))
    assert "held" not in str(timeline) and "6.0 MiB" in str(timeline)
    assert "held" not in text_of(parsed(timeline._repr_html_()))


def test_nothing_recorded_yet():
    assert str(MemoryTimeline()) == "nothing recorded yet"
    parsed(MemoryTimeline()._repr_html_())
    one = made_up((0.0, 5 * MIB, 1, 1))
    parsed(one._repr_html_())
    assert "1 moments" in str(one)


def test_buckets_keep_the_most():
    moments = [Moment(i, i % 7, 0, 0) for i in range(100)]
    kept = buckets(moments, 10)
    assert len(kept) == 10 and all(m.rss == 6 for m in kept)


@pytest.mark.parametrize("top, step", [(1, 1), (8, 1), (9, 2), (100 * MIB, 16 * MIB)])
def test_byte_step(top, step):
    assert _byte_step(top) == step and top <= step * 8


@pytest.mark.parametrize("seconds, step", [(10, 1), (3.6, 0.5), (19, 2), (0.01, 0.001), (45, 5)])
def test_time_step(seconds, step):
    assert _time_step(seconds) == pytest.approx(step)
    assert seconds / _time_step(seconds) <= 10
