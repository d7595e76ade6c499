"""Adds up each village's distances to all others; the best centre comes first."""

import csv
from collections import Counter

total = Counter()
with open("/input/routes/routes.tsv", newline="") as file:
    for start, _, distance, _ in csv.reader(file, delimiter="\t"):
        total[start] += int(distance)

with open("/output/centre.tsv", "w") as file:
    for village in sorted(total, key=lambda v: (total[v], v)):
        print(village, total[village], sep="\t", file=file)
