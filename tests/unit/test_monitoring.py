"""What alerts and dashboard ask Prometheus for is what the operator tells it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from confidential_summarizer import metrics
from confidential_summarizer.api.reasons import Reason
from confidential_summarizer.api.status import ConditionStatus
from confidential_summarizer.azure.transport import service_of
from confidential_summarizer.reconcile.loops import VISIT_SECONDS, Loop
from confidential_summarizer.reconcile.run import Result, Visit
from tests.unit.test_metrics import status

FILES = Path(__file__).parents[2] / "charts" / "confidential-summarizer" / "files"
DASHBOARD = json.loads((FILES / "dashboard.json").read_text())
RULES = [rule for group in yaml.safe_load((FILES / "alerts.yaml").read_text()) for rule in group["rules"]]
TARGET = {"job", "namespace"}
"""Labels that Prometheus adds to what a ServiceMonitor leads it to."""


def alerts() -> Iterator[str]:
    for rule in RULES:
        yield rule["expr"].replace("$operator", 'job="csum", namespace="operators"')


def panels() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


QUERIES = [*alerts(), *panels()]


def labels_of(metric: Counter | Gauge | Histogram) -> set[str]:
    return set(metric._labelnames)


@pytest.fixture(scope="module")
def told() -> dict[str, set[str]]:
    """Every series that the operator can tell of, with its labels."""
    loops = [Loop(visit=Visit(Result.WAITING, status=status("False", "AwaitingApproval")))]
    with metrics.Fleet(loops) as fleet:
        gauges = list(fleet.collect())
        served = {family.name for family in REGISTRY.collect() if family.name.startswith("csum_")}
    found = {gauge.name: {label for sample in gauge.samples for label in sample.labels} for gauge in gauges}
    for metric in (metrics.VISITS, metrics.DRIFT, metrics.AZURE):
        found[f"{metric._name}_total"] = labels_of(metric)
    found[metrics.LEADER._name] = labels_of(metrics.LEADER)
    for ending in ("bucket", "sum", "count"):
        found[f"{metrics.DURATION._name}_{ending}"] = {"le"} if ending == "bucket" else set()
    assert served == {re.sub("_(total|bucket|sum|count)$", "", name) for name in found}, "a metric is missing here"
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_names_metrics_and_labels_that_exist(query: str, told: dict[str, set[str]]) -> None:
    series = re.findall(r"(csum_\w+)(?:\{([^}]*)\})?", query)
    assert series
    known = set(TARGET)
    for name, matchers in series:
        assert name in told
        known |= told[name]
        assert set(re.findall(r"(\w+)\s*[=!]", matchers)) <= told[name] | TARGET
    for by in re.findall(r"by \(([^)]*)\)", query):
        assert set(by.split(", ")) <= known


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_asks_for_one_operator_and_for_values_that_occur(query: str) -> None:
    possible = {
        "ready": {status.value for status in ConditionStatus},
        "reason": {reason.value for reason in Reason},
        "result": {*(result.value for result in Result), "error"},
        "class": {metrics.answer_class(code) for code in (None, *range(200, 600))},
        "service": {service_of("management.azure.com")},
    }
    for matchers in re.findall(r"csum_\w+\{([^}]*)\}", query):
        if "job=" in matchers:
            assert "namespace=" in matchers
        else:
            assert matchers == 'namespace="$namespace"', "only the dashboard's list of jobs asks for all of them"
    for label, values in re.findall(r'(\w+)[=!]~?"([^"]*)"', query):
        if label in possible:
            assert set(values.split("|")) <= possible[label]


def test_an_alert_says_what_is_wrong_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["annotations"]["summary"]
        assert "{{" not in rule["annotations"]["description"], "the reference page shows it as it stands"
        assert rule["labels"]["severity"] in ("critical", "warning")
        by = re.search(r"by \(([^)]*)\)", rule["expr"])
        assert by is not None
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= set(by[1].split(", "))


def test_a_queue_is_stuck_when_something_takes_longer_than_a_look_may() -> None:
    (stuck,) = (rule["expr"] for rule in RULES if rule["alert"] == "CsumQueueStuck")
    assert stuck.endswith(f"> {VISIT_SECONDS:.0f}")
