"""Reads a run directory with the public HdrHistogram library for Python and prints what it found as JSON.

For every tag of intervals.hlog: the count, the maximum, some percentiles, and for every line of the tag's .hgrm how many records
the library has at or below the line's value.
"""

import json
import os
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

HOUR = 3_600_000_000_000
PERCENTS = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 100.0]

directory = sys.argv[1]
reader = HistogramLogReader(directory + "/intervals.hlog", HdrHistogram(1, HOUR, 3))
totals = {}
lines = 0
while True:
    interval = reader.get_next_interval_histogram()
    if interval is None:
        break
    lines += 1
    total = totals.setdefault(interval.get_tag(), HdrHistogram(1, HOUR, 3))
    total.add(interval)
found = {}
for tag, total in totals.items():
    distribution = []
    path = f"{directory}/{tag}.hgrm"
    if os.path.exists(path):
        counts = [
            (total.get_lowest_equivalent_value(step.value_iterated_to), step.total_count_to_this_value)
            for step in total.get_recorded_iterator()
        ]
        with open(path) as text:
            for line in text:
                columns = line.split()
                if columns and columns[0][0].isdigit():
                    value = round(float(columns[0]) * 1e6)
                    distribution.append(max(count for lowest, count in counts if lowest <= value))
    found[tag] = {
        "count": total.get_total_count(),
        "max": total.get_max_value(),
        "percentiles": [total.get_value_at_percentile(percent) for percent in PERCENTS],
        "distribution": distribution,
    }
json.dump({"start": reader.get_start_time_sec(), "lines": lines, "tags": found}, sys.stdout)
