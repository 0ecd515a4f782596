"""A batch on each target: what is sent, what its policy lets a shard be, and what is done next about it."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from confidential_summarizer.api.batch import read_indexes, write_indexes
from confidential_summarizer.api.resource import ConfidentialSummarizer
from confidential_summarizer.blueprint import ENCFS, SUMMARIZER, image_references
from confidential_summarizer.errors import NameTaken, SpecError
from confidential_summarizer.policy.parsing import parse_policy
from confidential_summarizer.targets.container_group import shards
from confidential_summarizer.targets.container_group.state import group_of
from confidential_summarizer.targets.container_group.steps import Live, Place
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.ownership import group_name
from confidential_summarizer.targets.target import Desired, Plan
from confidential_summarizer.targets.virtual_node import planning, state
from confidential_summarizer.targets.virtual_node.target import VirtualNodeTarget
from tests.support.fakes import FakeKube, measured
from tests.support.resources import resource, spec

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
ARM = {
    "containerGroup": {
        "subscriptionID": SUBSCRIPTION,
        "resourceGroup": "rg",
        "location": "westeurope",
        "subnetIDs": ["/subscriptions/x/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet/subnets/cg"],
    }
}
OUTPUT = {
    "blobPrefix": "https://party2.blob.core.windows.net/results/archive/",
    "recipient": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
}
DOCUMENTS = [spec()["fileSystems"][0] | {"contentSHA256": "a" * 64, "output": OUTPUT}]


PARTS = [
    DOCUMENTS[0]
    | {
        "name": f"part-{index}",
        "key": DOCUMENTS[0]["key"] | {"name": f"part-{index}"},
        "output": OUTPUT | {"blobPrefix": f"{OUTPUT['blobPrefix']}{index}/"},
    }
    for index in range(3)
]
"""An archive in three images."""


def archive(shards: int = 4, parallelism: int = 2, **changes: Any) -> ConfidentialSummarizer:
    changes = {"replicas": None, "fileSystems": DOCUMENTS, **changes}
    batch = {"shards": shards, "parallelism": parallelism, **changes.pop("batch", {})}
    return resource(batch=batch, **changes)


def desired(shards: int = 4, parallelism: int = 2, **changes: Any) -> Desired:
    wanted = archive(shards, parallelism, **changes)
    images = {c: measured(reference) for c, reference in image_references(wanted).items()}
    return Desired(wanted, derive(wanted, images))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fileSystems": spec()["fileSystems"]}, "set output of each file system with role Documents"),
        ({"replicas": 2}, "shards instead of replicas"),
        ({"batch": {"shards": 101}}, "less than or equal to 100"),
        ({"batch": {"shards": 2, "shardBy": "FileSystem"}, "fileSystems": PARTS}, "set batch.shards to their number"),
        ({"batch": {"shards": 4, "shardBy": "FileSystem"}, "fileSystems": PARTS}, "set batch.shards to their number"),
    ],
)
def test_a_batch_that_cannot_work_is_refused_with_what_to_do(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        archive(**changes)


def test_a_virtual_node_gets_an_indexed_job_and_nothing_to_reach_it_by() -> None:
    wanted = desired()
    (job,) = planning.manifests(wanted.derivation.manifest, wanted.resource.metadata)
    assert (job["apiVersion"], job["kind"], job["spec"]["completionMode"]) == ("batch/v1", "Job", "Indexed")
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (4, 2)
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("target", [{"virtualNode": {}}, ARM], ids=["virtual node", "container group"])
def test_one_policy_lets_a_group_be_any_shard_and_says_how_many_there_are(target: dict[str, Any]) -> None:
    policy = parse_policy(desired(target=target).derivation.policy.text)
    rules = {rule.name: rule for rule in policy.containers[0].env_rules}
    assert (rules["^JOB_COMPLETION_INDEX"].pattern, rules["^JOB_COMPLETION_INDEX"].strategy) == (
        "^JOB_COMPLETION_INDEX=[0-9]+$",
        "re2",
    )
    assert rules["SUMMARIZER_SHARDS"].pattern == "SUMMARIZER_SHARDS=4"
    assert "JOB_COMPLETION_INDEX" not in desired_server_policy(target)


@pytest.mark.parametrize("target", [{"virtualNode": {}}, ARM], ids=["virtual node", "container group"])
def test_the_policy_says_that_a_shard_is_a_file_system_and_nothing_where_it_is_not(target: dict[str, Any]) -> None:
    by = [desired(3, fileSystems=PARTS, target=target, batch=batch) for batch in ({"shardBy": "FileSystem"}, {})]
    said = [
        [rule for rule in parse_policy(one.derivation.policy.text).containers[0].env_rules if "SHARD_BY" in rule.name]
        for one in by
    ]
    assert [(rule.pattern, rule.strategy) for rule in said[0]] == [("SUMMARIZER_SHARD_BY=FileSystem", "string")]
    assert said[1] == []


def desired_server_policy(target: dict[str, Any]) -> str:
    wanted = resource(target=target)
    return derive(wanted, {c: measured(r) for c, r in image_references(wanted).items()}).policy.text


@pytest.mark.parametrize("target", [{"virtualNode": {}}, ARM], ids=["virtual node", "container group"])
def test_how_many_work_at_a_time_is_no_matter_of_the_policy(target: dict[str, Any]) -> None:
    one, other = desired(parallelism=1, target=target), desired(parallelism=4, target=target)
    assert one.derivation.policy.host_data == other.derivation.policy.host_data
    assert one.derivation.policy.host_data != desired(shards=5, target=target).derivation.policy.host_data


def test_the_sidecar_ends_when_nobody_listens_on_the_summarizers_port() -> None:
    containers = {c["name"]: c for c in desired().derivation.manifest["spec"]["template"]["spec"]["containers"]}
    assert containers[ENCFS]["command"][:2] == ["/bin/bash", "-c"]
    assert r"*:2135\ 00000000:0000\ 0A*" in containers[ENCFS]["command"][2]
    assert "command" not in containers[SUMMARIZER]


@pytest.mark.parametrize("text", ["", "0", "0-3,7", "0-1,3-4,9", "2,4"])
def test_shards_are_listed_as_a_job_lists_them(text: str) -> None:
    assert write_indexes(read_indexes(text)) == text


# Virtual nodes


def sent(of: Desired, **status: Any) -> planning.Live:
    job = copy.deepcopy(dict(of.derivation.manifest))
    job["metadata"] |= {"uid": "job-1", "resourceVersion": "7"}
    return planning.Live({"Job": {**job, "status": status}})


def does(found: Plan) -> list[str]:
    return [type(step).__name__ for step in found.steps]


def test_parallelism_changes_in_the_job_that_runs() -> None:
    assert does(planning.plan(desired(), planning.Live())) == ["Apply"]
    assert does(planning.plan(desired(), sent(desired()))) == []
    (step,) = planning.plan(desired(parallelism=3), sent(desired())).steps
    assert isinstance(step, planning.Apply)
    assert step.manifest["spec"]["parallelism"] == 3


@pytest.mark.parametrize("changes", [{"shards": 5}, {"resources": {"cpu": "4"}}, {"batch": {"backoffLimit": 9}}])
def test_what_a_job_cannot_change_needs_another_job(changes: dict[str, Any]) -> None:
    wanted, live = desired(**changes), sent(desired())
    (step,) = planning.plan(wanted, live).steps
    assert str(step) == "deletes Job contracts, for one of another template"
    live.children["Job"]["metadata"]["deletionTimestamp"] = "2026-11-28T12:00:00Z"  # type: ignore[index]
    assert planning.plan(wanted, live) == Plan(waits="Job contracts: going away")


def test_a_job_of_somebody_else_is_not_taken_over() -> None:
    live = sent(desired())
    live.children["Job"]["metadata"]["ownerReferences"] = []  # type: ignore[index]
    with pytest.raises(NameTaken, match="Job legal/contracts exists and is not of"):
        planning.plan(desired(), live)


async def test_somebody_who_suspends_the_job_is_put_right() -> None:
    kube, wanted = FakeKube(), desired()
    target = VirtualNodeTarget(kube)
    kube.put(sent(wanted).children["Job"])
    kube.objects["Job", "legal", "contracts"]["spec"]["suspend"] = True
    plan = target.plan(wanted, await target.read(wanted.resource, wanted.derivation), NOW)
    assert (does(plan), list(plan.drift)) == (["Apply"], ["Job: spec.suspend"])


def test_a_job_says_how_far_its_shards_are() -> None:
    done = state.shards({"status": {"completedIndexes": "0,2-3"}}, 5, [])
    assert (sorted(done.done), done.complete, done.over) == ([0, 2, 3], False, False)
    failed = {"type": "Failed", "status": "True", "reason": "FailedIndexes", "message": "Job has failed indexes"}
    over = state.shards({"status": {"completedIndexes": "0,2-3", "conditions": [failed]}}, 5, [])
    assert (sorted(over.failed), over.over, over.cause) == ([1, 4], True, "Job has failed indexes")


async def test_deleting_a_batch_deletes_its_job() -> None:
    kube, wanted = FakeKube(), desired()
    kube.put(sent(wanted).children["Job"])
    target = VirtualNodeTarget(kube)
    assert (await target.remove(wanted.resource.metadata, [], orphan=False)).left == ("contracts",)
    assert kube.writes == ["delete Job"]


# Container groups

HERE = Place(SUBSCRIPTION, "rg")
WANTED = desired(target=ARM)
NAME = [group_name(WANTED.resource.metadata, index) for index in range(8)]


def group(index: int, of: Desired = WANTED, *, state: str = "Succeeded", inside: str = "Running") -> dict[str, Any]:
    body: dict[str, Any] = copy.deepcopy(dict(shards.for_shard(of.derivation.manifest, index))) | {"name": NAME[index]}
    body["properties"] |= {"provisioningState": state, "instanceView": {"state": inside, "events": []}}
    return body


def live(*groups: dict[str, Any]) -> Live:
    return Live({(HERE, body["name"]): body for body in groups})


def with_status(of: Desired, **status: Any) -> Desired:
    known = of.resource.status.model_validate(status)
    return Desired(of.resource.model_copy(update={"status": known}), of.derivation)


def batch_status(of: Desired, done: str) -> dict[str, Any]:
    return {"hostData": of.derivation.policy.host_data, "completedIndexes": done, "shards": ""}


def tried(index: int, count: int, of: Desired = WANTED) -> dict[str, Any]:
    body = of.derivation.manifest["tags"]["confidential-summarizer-body"]
    time = f"{NOW - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    return {"group": NAME[index], "body": body, "count": count, "time": time}


OTHER = desired(target=ARM, shards=3)
ENDED = {"inside": "Succeeded"}
FAILED = {"inside": "Failed"}

TABLE: list[tuple[str, Desired, Live, list[str]]] = [
    ("nothing is there", WANTED, live(), ["Create 0", "Create 1"]),
    ("as many as may work do", WANTED, live(group(0), group(1)), []),
    ("one is done, and the next begins", WANTED, live(group(0, **ENDED), group(1)), ["Create 2", "Delete 0"]),
    (
        "what was done is remembered",
        with_status(WANTED, batch=batch_status(WANTED, "0-1")),
        live(group(2)),
        ["Create 3"],
    ),
    (
        "what was done under another policy is not",
        with_status(WANTED, batch=batch_status(OTHER, "0-1")),
        live(),
        ["Create 0", "Create 1"],
    ),
    ("all are done", with_status(WANTED, batch=batch_status(WANTED, "0-3")), live(), []),
    ("fewer may work", desired(target=ARM, parallelism=1), live(group(0), group(1)), ["Delete 1"]),
    ("none may work", desired(target=ARM, parallelism=0), live(group(0)), ["Delete 0"]),
    ("one failed", with_status(WANTED, attempts=[tried(0, 1)]), live(group(0, **FAILED), group(1)), ["Delete 0"]),
    (
        "one failed too often, and the others go on",
        with_status(WANTED, attempts=[tried(0, 4)]),
        live(group(0, **FAILED), group(1)),
        ["Create 2"],
    ),
    ("another spec", WANTED, live(group(0, OTHER), group(1, OTHER)), ["Delete 0", "Delete 1"]),
    ("one was killed from outside", with_status(WANTED, attempts=[tried(0, 1)]), live(group(1)), ["Create 0"]),
]


@pytest.mark.parametrize(("wanted", "found", "steps"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_shards_are_made_until_all_are_done(wanted: Desired, found: Live, steps: list[str]) -> None:
    batch = wanted.resource.spec.batch
    assert batch is not None
    plan = shards.plan(wanted, found, batch, NOW)
    assert [f"{type(step).__name__} {NAME.index(step.name)}" for step in plan.steps] == steps  # type: ignore[attr-defined]
    assert plan.drift == ()


def test_each_group_is_told_which_shard_it_is() -> None:
    bodies = [shards.for_shard(WANTED.derivation.manifest, index) for index in range(2)]
    told = [
        [v["value"] for c in body["properties"]["containers"] for v in c["properties"]["environmentVariables"]]
        for body in bodies
    ]
    assert told[0] != told[1]
    assert "===SHARD===" not in str(bodies)


def test_a_batch_is_over_when_every_shard_is_done_or_failed_too_often() -> None:
    wanted = with_status(WANTED, batch=batch_status(WANTED, "0-2"), attempts=[tried(3, 4)])
    batch = wanted.resource.spec.batch
    assert batch is not None
    groups = [group_of(group(3, **FAILED), page_ready=False)]
    seen = shards.observe(wanted.resource, batch, groups, WANTED.derivation.policy.host_data).shards
    assert seen is not None
    assert (sorted(seen.done), sorted(seen.failed), seen.over, seen.complete) == ([0, 1, 2], [3], True, False)
    assert NAME[3] in seen.cause
