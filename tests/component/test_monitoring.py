"""The chart's alerts and dashboard: the real promtool says what fires, over the rules that the real helm renders."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.helm import CHART, Helm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.needs("promtool")]

WATCHED = {
    "image": {"repository": "party1.azurecr.io/confidential-summarizer"},
    "monitoring": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboard": {"enabled": True},
    },
}
OPERATOR = {"namespace": "operators", "job": "csum"}
"""What Prometheus calls the operator of the rendered release, by its ServiceMonitor."""
MINUTES = 90
"""Of every scenario; samples come each minute."""


@dataclass(frozen=True)
class Scenario:
    """A metric's course over time, in promtool's notation: `0x60` stays, `0+60x60` grows by 60 a minute.

    Attributes:
        series: What makes the alert fire.
        quiet: The like of it that has to leave the alert silent.
        summary: What the alert then says.
    """

    alert: str
    severity: str
    series: Mapping[str, str]
    quiet: Mapping[str, str]
    summary: str
    labels: Mapping[str, str] = field(default_factory=dict)


SCENARIOS = [
    Scenario(
        "CsumOperatorNotWorking",
        "critical",
        {'csum_leader{pod="a"}': "1x60 0x30", 'csum_leader{pod="b"}': "0x90"},
        {'csum_leader{pod="a"}': "1x60 0x30", 'csum_leader{pod="b"}': "0x62 1x30"},
        "No operator pod works.",
    ),
    Scenario(
        "CsumEvidenceRefused",
        "critical",
        {'csum_resources{ready="False",reason="EvidenceRefused"}': "0x88 2x5"},
        {'csum_resources{ready="False",reason="ServiceUnavailable"}': "2x90"},
        "2 resources: the evidence of a running group is not what it has to be.",
    ),
    Scenario(
        "CsumNotReady",
        "warning",
        {'csum_not_ready_age_seconds{reason="AwaitingApproval"}': "0+60x90"},
        {
            'csum_not_ready_age_seconds{reason="Paused"}': "0+60x90",
            'csum_not_ready_age_seconds{reason="RollingOut"}': "0+60x29 0+60x29 0+60x29",
        },
        "A resource has not been Ready for 1h 30m 0s: AwaitingApproval.",
        {"reason": "AwaitingApproval"},
    ),
    Scenario(
        "CsumReconcilesFail",
        "warning",
        {'csum_reconcile_total{result="failed"}': "0+1x90"},
        {
            'csum_reconcile_total{result="failed"}': "0x30 1x60",
            'csum_reconcile_total{result="retry"}': "0+5x90",
        },
        "30 looks at resources in half an hour ended as failed.",
        {"result": "failed"},
    ),
    Scenario(
        "CsumAzureThrottles",
        "warning",
        {
            'csum_azure_requests_total{service="key vault",class="ok"}': "0+3x90",
            'csum_azure_requests_total{service="key vault",class="throttled"}': "0+1x90",
        },
        {
            'csum_azure_requests_total{service="key vault",class="ok"}': "0+20x90",
            'csum_azure_requests_total{service="key vault",class="throttled"}': "0+1x90",
            'csum_azure_requests_total{service="entra",class="throttled"}': "0x90",
        },
        "25% of the calls to key vault are throttled.",
        {"service": "key vault"},
    ),
    Scenario(
        "CsumAttestationOld",
        "warning",
        {"csum_attestation_age_seconds": "0+60x90"},
        {"csum_attestation_age_seconds": "0+60x65 0+60x65"},
        "The oldest evidence that is relied on is 1h 30m 0s old.",
    ),
    Scenario(
        "CsumDrift",
        "warning",
        {"csum_drifted_resources": "0x70 1x30"},
        {"csum_drifted_resources": "0x70 1x6 0x30"},
        "1 resources: somebody changes, or has changed, what the operator deployed.",
    ),
    Scenario(
        "CsumDeletionHangs",
        "warning",
        {"csum_deletion_age_seconds": "0+60x90"},
        {"csum_deletion_age_seconds": "0+60x50 0x50"},
        "A resource has been going for 1h 30m 0s.",
    ),
    Scenario(
        "CsumQueueStuck",
        "warning",
        {"csum_queue_age_seconds": "0x60 0+60x30"},
        {"csum_queue_age_seconds": "0x71 0+60x30"},
        "A resource has been looked at, or has waited for its turn, for 29m 0s.",
    ),
]


@pytest.fixture(scope="module")
def rules(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rendered rules, as a file of Prometheus."""
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(yaml.safe_dump(helm.objects(**WATCHED)["PrometheusRule", "csum"]["spec"]))
    return file


def promtool(*words: str) -> str:
    result = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def of(operator: Mapping[str, str], series: Mapping[str, str]) -> list[dict[str, str]]:
    """Return promtool's input: the same series of a given operator."""
    labels = ",".join(f'{name}="{value}"' for name, value in operator.items())
    named = {name if "{" in name else f"{name}{{}}": values for name, values in series.items()}
    return [
        {"series": name.removesuffix("}") + ("" if name.endswith("{}") else ",") + f"{labels}}}", "values": values}
        for name, values in named.items()
    ]


def check(rules: Path, scenario: Scenario, series: list[dict[str, str]], *, fires: bool) -> None:
    (rule,) = (
        rule
        for group in yaml.safe_load(rules.read_text())["groups"]
        for rule in group["rules"]
        if rule["alert"] == scenario.alert
    )
    said: dict[str, Any] = {
        "exp_labels": {**OPERATOR, **scenario.labels, "severity": scenario.severity},
        "exp_annotations": {**rule["annotations"], "summary": scenario.summary},
    }
    asked = {"eval_time": f"{MINUTES}m", "alertname": scenario.alert, "exp_alerts": [said] if fires else []}
    test = {
        "rule_files": [rules.name],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": [asked]}],
    }
    file = rules.with_name("test.yaml")
    file.write_text(yaml.safe_dump(test, width=1000))
    promtool("test", "rules", str(file))


def test_prometheus_takes_the_rules_and_each_has_a_scenario(rules: Path) -> None:
    assert f"{len(SCENARIOS)} rules found" in promtool("check", "rules", str(rules))
    known = {rule["alert"] for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]}
    assert known == {scenario.alert for scenario in SCENARIOS}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.alert)
def test_an_alert_fires_on_what_it_is_for_and_on_nothing_like_it(rules: Path, scenario: Scenario) -> None:
    check(rules, scenario, of(OPERATOR, scenario.series), fires=True)
    check(rules, scenario, of(OPERATOR, scenario.quiet), fires=False)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.alert)
def test_an_alert_is_silent_about_the_operator_of_another_namespace(rules: Path, scenario: Scenario) -> None:
    well = of(OPERATOR, {"csum_leader": "1x90"})
    check(rules, scenario, [*well, *of({"namespace": "others", "job": "csum"}, scenario.series)], fires=False)


def test_an_operator_of_which_nothing_is_heard_does_not_work(rules: Path) -> None:
    scenario = SCENARIOS[0]
    check(rules, scenario, of({"namespace": "others", "job": "csum"}, {"csum_leader": "1x90"}), fires=True)
    check(rules, scenario, of(OPERATOR, {'csum_leader{pod="a"}': "1x60", 'csum_leader{pod="b"}': "0x60"}), fires=True)


def test_nothing_of_it_is_there_until_it_is_asked_for(helm: Helm) -> None:
    kinds = {kind for kind, _ in helm.objects(image=WATCHED["image"])}
    assert not kinds & {"Service", "ServiceMonitor", "PrometheusRule"}
    assert ("ConfigMap", "csum-dashboard") not in helm.objects(image=WATCHED["image"])


def test_the_monitor_finds_the_pods_by_a_service_and_a_named_port(helm: Helm) -> None:
    objects = helm.objects(**WATCHED)
    service, monitor = objects["Service", "csum"], objects["ServiceMonitor", "csum"]
    pod = objects["Deployment", "csum"]["spec"]["template"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    (port,), (endpoint,) = service["spec"]["ports"], monitor["spec"]["endpoints"]
    assert endpoint["port"] == port["name"]
    assert port["targetPort"] in {one["name"] for one in pod["spec"]["containers"][0]["ports"]}
    assert service["spec"]["publishNotReadyAddresses"]
    for kind in ("ServiceMonitor", "PrometheusRule"):
        assert objects[kind, "csum"]["metadata"]["labels"]["release"] == "prometheus"


def test_grafana_finds_the_dashboard_as_it_was_written(helm: Helm) -> None:
    config_map = helm.objects(**WATCHED)["ConfigMap", "csum-dashboard"]
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    (text,) = config_map["data"].values()
    assert json.loads(text) == json.loads((CHART / "files" / "dashboard.json").read_text())


@pytest.mark.parametrize(
    "values",
    [
        {"serviceMonitors": {}},
        {"serviceMonitor": {"enabled": "yes"}},
        {"serviceMonitor": {"interval": "30"}},
        {"prometheusRule": {"rules": []}},
        {"dashboard": {"labels": {"grafana_dashboard": 1}}},
    ],
)
def test_a_misspelt_value_is_refused(helm: Helm, values: dict[str, Any]) -> None:
    assert helm.run("template", "csum", values=WATCHED | {"monitoring": values}).returncode != 0


def test_the_whole_is_sound(helm: Helm) -> None:
    result = helm.run("lint", "--strict", values=WATCHED)
    assert result.returncode == 0, result.stdout
