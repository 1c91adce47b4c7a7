"""A web server's log: lines matched by regular expressions, counted in dicts."""

import collections
import random
import re

_LINE = re.compile(
    r'(?P<host>\S+) \S+ \S+ \[(?P<time>[^]]+)\] "(?P<method>\w+) (?P<path>\S+) [^"]*" '
    r'(?P<status>\d+) (?P<size>\d+) "(?P<agent>[^"]*)"'
)
_QUERY = re.compile(r"[?&](\w+)=(\w+)")


def make_log(lines: int) -> str:
    chance = random.Random(3)
    return "\n".join(
        f"10.0.{chance.randrange(256)}.{chance.randrange(256)} - - [21/Nov/2026:{n % 24:02}:00:00]"
        f' "GET /shop/{chance.randrange(500)}?id={n}&page={n % 9} HTTP/1.1" '
        f'{chance.choice((200, 200, 304, 404))} {chance.randrange(90000)} "Agent/{n % 40}.0"'
        for n in range(lines)
    )


def main(scale: float) -> int:
    log = make_log(int(40_000 * scale))
    hosts: collections.Counter[str] = collections.Counter()
    sizes: dict[str, list[int]] = collections.defaultdict(list)
    queries = set()
    for match in _LINE.finditer(log):
        fields = match.groupdict()
        hosts[fields["host"]] += 1
        sizes[fields["status"], fields["agent"]].append(int(fields["size"]))
        queries.update(_QUERY.findall(fields["path"]))
    return len(hosts) + len(queries) + sum(max(values) for values in sizes.values())
