"""The table of metrics keeps Prometheus' conventions, and the page on it says the same."""

import re

from posthouse.metrics.families import FAMILIES
from tests.pages import ROOT

LABELS = {
    "call",
    "category",
    "lane",
    "method",
    "python",
    "result",
    "route",
    "state",
    "status",
    "transport",
    "version",
}
"""Each is bounded by the code or the settings."""


def test_names_end_as_their_kind_asks() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    for family in FAMILIES:
        assert re.fullmatch(r"posthouse_[a-z]+(_[a-z]+)*", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert set(family.labels) <= LABELS
        assert family.help.endswith(".")


def test_histograms_have_bounds_that_rise_and_a_unit() -> None:
    histograms = [family for family in FAMILIES if family.kind == "histogram"]
    assert histograms
    for family in histograms:
        assert family.name.endswith(("_seconds", "_messages"))
        assert list(family.buckets) == sorted(set(family.buckets))
    assert not any(family.buckets for family in FAMILIES if family.kind != "histogram")


def test_the_page_says_what_the_code_does() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(
        r"^\| `(posthouse_\w+)` \| (\w+) \| ([\w, ]*?) ?\| (process|store) \| (.*) \|$", text, re.M
    )
    said = [
        (name, kind, tuple(filter(None, labels.split(", "))), words) for name, kind, labels, _, words in rows
    ]
    assert said == [(family.name, family.kind, family.labels, family.help) for family in FAMILIES]
    assert [of == "store" for *_, of, _ in rows] == ["of the whole" in family.help for family in FAMILIES]
