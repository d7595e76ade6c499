"""Finds the shortest route from each village to each other: from, to, kilometres, via."""

import csv
import heapq
from collections import defaultdict


def routes(roads, start):
    """Yields village, distance and route, the nearest village first."""
    seen, queue = set(), [(0, [start])]
    while queue:
        distance, way = heapq.heappop(queue)
        if way[-1] in seen:
            continue
        seen.add(way[-1])
        yield way[-1], distance, way[1:-1]
        for village, length in roads[way[-1]]:
            heapq.heappush(queue, (distance + length, way + [village]))


roads = defaultdict(list)
with open("/input/parse/roads.tsv", newline="") as file:
    for a, b, length in csv.reader(file, delimiter="\t"):
        roads[a].append((b, int(length)))
        roads[b].append((a, int(length)))

with open("/output/routes.tsv", "w", newline="") as file:
    out = csv.writer(file, delimiter="\t", lineterminator="\n")
    for start in sorted(roads):
        for village, distance, via in routes(roads, start):
            if village != start:
                out.writerow([start, village, distance, ", ".join(via)])
