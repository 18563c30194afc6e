"""Reading what /metrics says."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[str, frozenset[tuple[str, str]]]


def samples_of(text: str) -> dict[Sample, float]:
    """Every line of the text: by name and labels its value. Fails on text that Prometheus would not take."""
    found: dict[Sample, float] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} stands twice"
            found[key] = sample.value
    return found


def total(samples: dict[Sample, float], name: str, **labels: str) -> float:
    """The sum of all lines of that name with at least these labels."""
    wanted = set(labels.items())
    return sum(value for (its_name, its_labels), value in samples.items() if its_name == name and wanted <= its_labels)


def names(samples: dict[Sample, float]) -> set[str]:
    return {name for name, _ in samples}
