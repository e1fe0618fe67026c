"""Write the metrics of all processes in the text format of Prometheus.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, TypeAlias

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from greenserver.admin.shared_memory import SharedMemory
from greenserver.admin.shared_metrics import (
    BUCKETS_SECONDS,
    COUNTER,
    FAMILIES,
    HISTOGRAM,
    MAXIMUM,
    TOTAL,
    Family,
    split,
)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
"""The media type of the format."""

_PREFIX: Final = "greenserver_"

Values: TypeAlias = dict[tuple[str, ...], float]
"""The values of a metric, by those of its labels."""


def write(memory: SharedMemory) -> bytes:
    """Return the metrics."""
    registry = CollectorRegistry()
    registry.register(_Collected(memory))
    return generate_latest(registry)


class _Collected(Collector):
    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory

    def describe(self) -> list[Metric]:
        """Return nothing: there is one collector, so no name is taken."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield each metric, with the values of all processes."""
        ended, running = self._memory.read()
        found: dict[str, list[tuple[tuple[str, ...], float]]] = defaultdict(list)
        for numbers in (ended, *running):
            for key, value in numbers.items():
                name, labels = split(key)
                found[name].append((labels, value))
        for family in FAMILIES:
            values: Values = {}
            for labels, value in found[family.name]:
                before = values.get(labels, 0.0)
                values[labels] = max(before, value) if family.kind == MAXIMUM else before + value
            yield _metric(family, values)


def _metric(family: Family, values: Values) -> Metric:
    name = _PREFIX + family.name
    if family.kind == HISTOGRAM:
        return _histogram(name, family.text, values)
    kind = CounterMetricFamily if family.kind == COUNTER else GaugeMetricFamily
    metric = kind(name, family.text, labels=family.labels)
    for labels, value in sorted(values.items()):
        metric.add_metric(labels, value)
    return metric


def _histogram(name: str, text: str, values: Values) -> Metric:
    metric = HistogramMetricFamily(name, text)
    count, buckets = 0.0, []
    for number, bound in enumerate((*BUCKETS_SECONDS, "+Inf")):
        count += values.get((str(number),), 0.0)
        buckets.append((str(bound), count))
    metric.add_metric((), buckets, values.get((TOTAL,), 0.0))
    return metric
