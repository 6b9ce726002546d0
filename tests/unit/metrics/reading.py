"""Reads metrics as Prometheus does: by the parser of its client library, not by ours."""

from prometheus_client.parser import text_string_to_metric_families


class Metrics:
    """One answer of /metrics."""

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]
        self.names = {sample.name for sample in self.samples}

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of what has this name and these labels; 0 where nothing has."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, name: str) -> set[str]:
        """All values of one label, in all families."""
        return {sample.labels[name] for sample in self.samples if name in sample.labels}
