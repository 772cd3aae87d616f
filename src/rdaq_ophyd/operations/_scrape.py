"""One scrape: the families of the table, filled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from ._families import SCRAPED, Family


def _made(family: Family) -> Metric:
    kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily, "histogram": HistogramMetricFamily}
    made: Metric = kinds[family.kind](family.name, family.help, labels=family.labels)
    return made


class Scrape:
    """Values by the names of the table; a family without any is told empty."""

    def __init__(self) -> None:
        self._families = {family.name: _made(family) for family in SCRAPED}

    def add(self, name: str, value: float, *labels: str) -> None:
        """A value of a counter or a gauge."""
        family = self._families[name]
        assert isinstance(family, CounterMetricFamily | GaugeMetricFamily)
        family.add_metric(labels, float(value))

    def add_histogram(
        self, name: str, bounds: Sequence[float], counts: Sequence[int], total: float, *labels: str
    ) -> None:
        """The classes of a histogram.

        :param counts: by class, one more than there are bounds.
        :param total: the sum of all that was observed.
        """
        family = self._families[name]
        assert isinstance(family, HistogramMetricFamily)
        buckets, below = [], 0
        for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
            below += count
            buckets.append((bound, below))
        family.add_metric(labels, buckets, total)

    def families(self) -> Iterable[Metric]:
        """All of them."""
        return self._families.values()
