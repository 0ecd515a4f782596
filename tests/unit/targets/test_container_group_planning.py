"""Which groups are made, replaced, repaired and taken away: what is there, then what is done about it."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from confidential_summarizer.api.target import Attempt
from confidential_summarizer.blueprint import image_references
from confidential_summarizer.errors import NameTaken
from confidential_summarizer.targets.container_group.planning import DENIED_SECONDS, plan
from confidential_summarizer.targets.container_group.rendering import BODY_TAG, CREATED_TAG
from confidential_summarizer.targets.container_group.steps import Create, Delete, Live, Place, Start, Tag
from confidential_summarizer.targets.derive import derive
from confidential_summarizer.targets.ownership import OWNER_UID_TAG, group_name
from confidential_summarizer.targets.target import Desired, Plan
from tests.support.fakes import measured
from tests.support.resources import resource

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
HERE = Place(SUBSCRIPTION, "rg")
TARGET = {
    "subscriptionID": SUBSCRIPTION,
    "resourceGroup": "rg",
    "location": "westeurope",
    "subnetIDs": ["/subscriptions/x/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet/subnets/cg"],
}


def desired(*, status: Mapping[str, Any] | None = None, pull_secret: Any = None, **changes: Any) -> Desired:
    wanted = resource(**{"target": {"containerGroup": TARGET}, **changes})
    if status:
        wanted = wanted.model_copy(update={"status": wanted.status.model_validate(status)})
    images = {c: measured(reference) for c, reference in image_references(wanted).items()}
    return Desired(wanted, derive(wanted, images), pull_secret)


WANTED = desired()
NAME = [group_name(WANTED.resource.metadata, index) for index in range(60)]
DENIAL = "guest RPC failure: container creation denied due to policy"


def group(
    index: int, of: Desired = WANTED, *, state: str = "Succeeded", inside: str = "Running", event: str = ""
) -> dict[str, Any]:
    """Return a group as Resource Manager shows it: with ids in another case and without what it keeps to itself."""
    body = copy.deepcopy(dict(of.derivation.manifest)) | {"name": NAME[index], "location": "West Europe"}
    body["identity"]["userAssignedIdentities"] = {
        key.replace("resourceGroups", "resourcegroups"): {"clientId": "c"}
        for key in body["identity"]["userAssignedIdentities"]
    }
    events = [{"type": "Warning", "name": "Failed", "message": event}] if event else []
    body["properties"] |= {"provisioningState": state, "instanceView": {"state": inside, "events": events}}
    body["properties"]["ipAddress"] |= {"ip": f"10.0.0.{index + 4}"}
    body["properties"]["initContainers"] = []
    return body


def ready(index: int, of: Desired = WANTED) -> tuple[dict[str, Any], bool]:
    return group(index, of), True


def live(*groups: Any, place: Place = HERE) -> Live:
    pairs = [one if isinstance(one, tuple) else (one, False) for one in groups]
    return Live(
        {(place, body["name"]): body for body, _ in pairs},
        ready=frozenset((place, body["name"]) for body, is_ready in pairs if is_ready),
    )


def does(found: Plan) -> list[str]:
    assert {step.place for step in found.steps} <= {HERE}
    return [f"{type(step).__name__} {NAME.index(step.name)}" for step in found.steps]


LARGER = {"resources": {"cpu": "4", "memory": "8Gi"}}
OLD, NEW = desired(replicas=3), desired(replicas=3, **LARGER)
FAILED = {"state": "Failed", "inside": "Pending", "event": "InsufficientCapacity."}

TABLE: list[tuple[str, Desired, Live, list[str]]] = [
    ("nothing is there", desired(replicas=2), live(), ["Create 0", "Create 1"]),
    ("all is as wanted", WANTED, live(ready(0)), []),
    ("it starts", WANTED, live(group(0, state="Creating", inside="")), []),
    ("one too many", WANTED, live(ready(0), ready(1)), ["Delete 1"]),
    ("too many: first one that does not serve, then the highest number", WANTED, live(ready(0), group(1), ready(2)), ["Delete 1", "Delete 2"]),
    ("none is wanted", desired(replicas=0), live(ready(0)), ["Delete 0"]),
    ("one is going", WANTED, live(group(0, state="Deleting")), []),
    ("one is going, and its name is not free yet", desired(replicas=2), live(group(0, state="Deleting")), ["Create 1"]),
    ("another policy: one new beside the old ones", NEW, live(ready(0, OLD), ready(1, OLD), ready(2, OLD)), ["Create 3"]),
    ("the new one comes up", NEW, live(ready(0, OLD), ready(1, OLD), ready(2, OLD), group(3, NEW, state="Creating")), []),
    ("the new one is ready: one old one goes", NEW, live(ready(0, OLD), ready(1, OLD), ready(2, OLD), ready(3, NEW)), ["Delete 0"]),
    ("the old one is still going", NEW, live(group(0, OLD, state="Deleting"), ready(1, OLD), ready(2, OLD), ready(3, NEW)), []),
    ("the old one has gone", NEW, live(ready(1, OLD), ready(2, OLD), ready(3, NEW)), ["Create 0"]),
    ("the last old one goes", NEW, live(ready(0, NEW), ready(1, NEW), ready(2, OLD), ready(3, NEW)), ["Delete 2"]),
    ("the new one fails: the old ones stay", NEW, live(ready(0, OLD), ready(1, OLD), ready(2, OLD), group(3, NEW, inside="Waiting", event=DENIAL)), []),
    ("an old one that never came up goes at once", NEW, live(group(0, OLD, inside="Waiting", event=DENIAL), ready(1, OLD), ready(2, OLD)), ["Create 3", "Delete 0"]),
    ("an old page that does not answer just now is kept", NEW, live(group(0, OLD), group(1, OLD), group(2, OLD)), ["Create 3"]),
    ("scaled down while rolling", desired(**LARGER), live(ready(0, OLD), ready(1, OLD), ready(2, OLD)), ["Delete 0", "Delete 1"]),
    ("stopped by somebody", WANTED, live(group(0, inside="Stopped")), ["Start 0"]),
    ("failed", WANTED, live(group(0, **FAILED)), ["Delete 0"]),
    ("denied", WANTED, live(group(0, inside="Waiting", event=DENIAL)), []),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "found", "steps"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_is_there_decides_what_is_done(wanted: Desired, found: Live, steps: list[str]) -> None:
    assert does(plan(wanted, found, NOW)) == steps


DENIED = group(0, inside="Waiting", event=DENIAL)


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        ([DENIED], DENIED_SECONDS),
        ([DENIED, ready(1)], DENIED_SECONDS),
        ([DENIED, group(1, state="Creating", inside="")], None),
        ([ready(0), ready(1)], None),
    ],
    ids=["denied", "denied beside one that is ready", "denied beside one that comes up", "none denied"],
)
def test_a_guest_that_denies_is_asked_rarely_while_nothing_else_goes_on(found: Sequence[Any], seconds: float) -> None:
    assert plan(desired(replicas=2 if len(found) == 2 else 1), live(*found), NOW).wait_seconds == seconds


def test_groups_on_their_way_out_are_named() -> None:
    assert plan(WANTED, live(ready(0), *(group(i, state="Deleting") for i in (1, 2))), NOW).waits == (
        f"{NAME[1]}, {NAME[2]}: going away"
    )


def test_only_where_every_replica_serves_an_old_group_may_make_room_for_a_new_one() -> None:
    def makes_room(*groups: Any) -> set[Delete | None]:
        return {step.makes_room for step in plan(NEW, live(*groups), NOW).steps if isinstance(step, Create)}

    old = [ready(index, OLD) for index in range(3)]
    assert makes_room(*reversed(old)) == {Delete(HERE, NAME[0])}
    assert makes_room(group(0, OLD), *old[1:]) == {Delete(HERE, NAME[0])}  # it runs: its page may be slow
    assert makes_room(*old[:2]) == {None}
    assert makes_room(ready(0, NEW), ready(1, NEW)) == {None}


PUBLIC = desired(
    target={"containerGroup": {k: v for k, v in TARGET.items() if k != "subnetIDs"}},
    access={"exposure": "Public", "tokenSHA256": "ab" * 32},
)
OTHER_IDENTITY = resource().spec.identity.resource_id.replace("summarizer", "other")


@pytest.mark.parametrize(
    "changed",
    [
        LARGER,
        {"identity": {"resourceID": OTHER_IDENTITY}},
        {
            "target": {
                "containerGroup": TARGET
                | {
                    "subnetIDs": [
                        "/subscriptions/x/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet/subnets/other"
                    ]
                }
            }
        },
        {"target": {"containerGroup": TARGET | {"location": "northeurope"}}},
        {"target": {"containerGroup": TARGET | {"zones": ["2"]}}},
    ],
    ids=["size", "identity", "subnet", "location", "zone"],
)
def test_whatever_changes_in_the_spec_replaces_the_group_although_the_policy_stays(changed: Mapping[str, Any]) -> None:
    assert does(plan(desired(**changed), live(ready(0)), NOW)) == ["Create 1"]
    assert not plan(desired(**changed), live(ready(0)), NOW).drift


def test_a_page_that_is_taken_off_the_internet_leaves_its_public_address() -> None:
    first = plan(WANTED, live(ready(0, PUBLIC)), NOW)
    assert does(first) == ["Create 1"]
    assert first.steps[0].body["properties"]["ipAddress"]["type"] == "Private"
    assert does(plan(WANTED, live(ready(0, PUBLIC), ready(1)), NOW)) == ["Delete 0"]


def test_a_group_that_moves_to_another_resource_group_is_replaced_from_there() -> None:
    there = Place(SUBSCRIPTION, "old")
    found = live(ready(0), place=there)
    assert plan(WANTED, found, NOW).steps == (
        Create(HERE, NAME[0], plan(WANTED, live(), NOW).steps[0].body, Delete(there, NAME[0])),
    )
    moved = live(ready(0))
    both = Live({**found.groups, **moved.groups}, ready=found.ready | moved.ready)
    assert plan(WANTED, both, NOW).steps == (Delete(there, NAME[0]),)


def set_policy(body: Any) -> None:
    body["properties"]["confidentialComputeProperties"]["ccePolicy"] = "cGFja2FnZSBhbGxvd19hbGwK"


def set_public(body: Any) -> None:
    body["properties"]["ipAddress"]["type"] = "Public"


def add_variable(body: Any) -> None:
    body["properties"]["containers"][0]["properties"]["environmentVariables"].append({"name": "EVIL", "value": "1"})


def shadow_variable(body: Any) -> None:
    variables = body["properties"]["containers"][0]["properties"]["environmentVariables"]
    variables.insert(0, {**variables[0], "value": "other"})


def add_container(body: Any) -> None:
    body["properties"]["containers"].append({"name": "spy", "properties": {"image": "spy", "resources": {}}})


def add_diagnostics(body: Any) -> None:
    body["properties"]["diagnostics"] = {"logAnalytics": {"workspaceId": "w"}}


def add_identity(body: Any) -> None:
    body["identity"]["userAssignedIdentities"]["/subscriptions/x/other"] = {}


def drop_mount(body: Any) -> None:
    del body["properties"]["containers"][1]["properties"]["volumeMounts"]


CHANGES = [
    set_policy,
    set_public,
    add_variable,
    shadow_variable,
    add_container,
    add_diagnostics,
    add_identity,
    drop_mount,
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_somebody_changes_behind_our_tag_is_found_and_put_right_by_another_group(change: Any) -> None:
    body = group(0)
    change(body)
    found = plan(WANTED, live((body, True)), NOW)
    assert does(found) == ["Create 1"]
    assert len(found.drift) == 1
    assert found.drift[0].startswith(NAME[0])


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_only_reported_where_that_is_the_policy(change: Any) -> None:
    body = group(0)
    wanted = desired(driftPolicy="Report")
    change(body)
    for _ in range(2):
        found = plan(wanted, live((body, True)), NOW)
        assert (does(found), len(found.drift)) == ([], 1)


def test_tags_that_somebody_replaced_are_put_back_without_a_restart() -> None:
    body = group(0)
    body["tags"] = {"cost-centre": "7"}
    found = plan(WANTED, live((body, True)), NOW)
    (step,) = found.steps
    assert isinstance(step, Tag)
    assert step.tags == {"cost-centre": "7", **WANTED.derivation.manifest["tags"]}
    assert found.drift == (f"{NAME[0]}: tags",)
    reported = plan(desired(driftPolicy="Report"), live((body, True)), NOW)
    assert (does(reported), reported.drift) == ([], found.drift)


def test_a_group_of_an_earlier_operator_is_kept_and_tagged() -> None:
    body = group(0)
    del body["tags"][BODY_TAG]
    found = plan(WANTED, live((body, True)), NOW)
    assert (does(found), found.drift) == (["Tag 0"], ())


def test_a_stopped_group_is_only_reported_where_that_is_the_policy() -> None:
    found = plan(desired(driftPolicy="Report"), live(group(0, inside="Stopped")), NOW)
    assert (does(found), found.drift) == ([], (f"{NAME[0]}: stopped",))


def test_a_name_that_somebody_else_s_group_has_is_not_taken_over() -> None:
    taken = frozenset(NAME[:3])
    with pytest.raises(NameTaken, match=f"container group rg/{min(taken)} exists and is not of legal/contracts"):
        plan(WANTED, Live(taken=taken), NOW)
    assert does(plan(WANTED, Live(live(ready(0)).groups, taken, live(ready(0)).ready), NOW)) == []


SECRET = {"auths": {"party1.azurecr.io": {"username": "puller", "password": "planted-password"}}}


def test_a_pull_secret_goes_with_the_body_and_into_nothing_that_is_kept_or_shown() -> None:
    wanted = desired(registryCredentials={"secretRef": {"name": "acr"}}, pull_secret=SECRET)
    (step,) = plan(wanted, live(), NOW).steps
    assert step.body["properties"]["imageRegistryCredentials"] == [
        {"server": "party1.azurecr.io", "username": "puller", "password": "planted-password"}
    ]
    assert "planted-password" not in repr(step)
    rotated = {"auths": {"party1.azurecr.io": {"username": "puller", "password": "rotated"}}}
    again = desired(registryCredentials={"secretRef": {"name": "acr"}}, pull_secret=rotated)
    assert plan(again, live(ready(0, wanted)), NOW).steps == ()
    assert "planted" not in str(wanted.derivation.manifest)


def test_an_identity_pulls_from_the_private_registry_only() -> None:
    mine = {"resourceID": resource().spec.identity.resource_id, "clientID": "12345678-1234-1234-1234-123456789abc"}
    wanted = desired(registryCredentials={"identity": OTHER_IDENTITY}, identity=mine)
    properties = wanted.derivation.manifest["properties"]
    assert properties["imageRegistryCredentials"] == [{"server": "party1.azurecr.io", "identity": OTHER_IDENTITY}]
    assert OTHER_IDENTITY in wanted.derivation.manifest["identity"]["userAssignedIdentities"]


class TestPauses:
    """A group that does not come up is made again after 2, 4, 8 … 30 minutes, whatever becomes of the operator."""

    def after(self, minutes: float, found: Live, status: Mapping[str, Any]) -> Plan:
        return plan(desired(status=status), found, NOW + timedelta(minutes=minutes))

    def remembered(self, last: Plan) -> dict[str, Any]:
        return {"attempts": [attempt.model_dump(by_alias=True) for attempt in last.attempts]}

    def test_the_pauses_grow_and_a_restart_of_the_operator_does_not_shorten_them(self) -> None:
        status: dict[str, Any] = {}
        minutes, pauses = 0.0, []
        for _ in range(7):
            made = self.after(minutes, live(), status)
            assert does(made) == ["Create 0"]
            status = self.remembered(made)
            start = minutes
            while does(self.after(minutes, live(group(0, **FAILED)), status)) != ["Delete 0"]:
                minutes += 1
            pauses.append(minutes - start)
        assert pauses == [2, 4, 8, 16, 30, 30, 30]

    def test_the_wait_is_told_and_ends_when_the_next_try_is_due(self) -> None:
        status = self.remembered(self.after(0, live(), {}))
        waiting = self.after(0.5, live(group(0, **FAILED)), status)
        assert waiting.wait_seconds == 90
        assert "next try at 2026-11-28T12:02:00Z" in waiting.waits

    def test_a_creation_that_was_refused_is_tried_again_at_once_and_then_less_and_less_often(self) -> None:
        status = self.remembered(self.after(0, live(), {}))
        second = self.after(0.2, live(), status)
        assert does(second) == ["Create 0"]
        status = self.remembered(second)
        assert does(self.after(1, live(), status)) == []
        assert does(self.after(2.3, live(), status)) == ["Create 0"]

    def test_something_else_is_tried_at_once(self) -> None:
        status = self.remembered(self.after(0, live(), self.remembered(self.after(0, live(), {}))))
        assert does(plan(desired(status=status), live(), NOW)) == []
        assert does(plan(desired(status=status, **LARGER), live(), NOW)) == ["Create 0"]

    def test_what_is_remembered_is_which_group_was_made_how_often_and_when(self) -> None:
        first = self.after(0, live(), {})
        second = self.after(3, live(), self.remembered(first))
        digest = WANTED.derivation.manifest["tags"][BODY_TAG]
        for made, count, time in ((first, 1, "2026-11-28T12:00:00Z"), (second, 2, "2026-11-28T12:03:00Z")):
            assert made.attempts == (Attempt(group=NAME[0], body=digest, count=count, time=time),)
            assert made.steps[0].body["tags"][CREATED_TAG] == time

    def test_nobody_is_asked_again_within_a_second(self) -> None:
        status = self.remembered(self.after(0, live(), {}))
        assert self.after(1.999, live(group(0, **FAILED)), status).wait_seconds == 1

    def test_a_group_that_came_up_has_no_past(self) -> None:
        status = self.remembered(self.after(0, live(), {}))
        assert self.after(1, live(ready(0)), status).attempts == ()


@dataclass
class World:
    """Resource Manager as the planner sees it; groups come up, fail and go when the test says so."""

    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)
    attempts: Sequence[Any] = ()
    now: datetime = NOW

    def live(self) -> Live:
        return Live(
            {(HERE, name): body for name, body in self.groups.items()},
            ready=frozenset((HERE, name) for name in self.ready),
        )

    def take(self, found: Plan) -> None:
        self.attempts = found.attempts
        for step in found.steps:
            if isinstance(step, Create):
                assert step.name not in self.groups
                body = copy.deepcopy(dict(step.body)) | {"name": step.name}
                body["properties"] |= {"provisioningState": "Creating", "instanceView": {"state": "", "events": []}}
                self.groups[step.name] = body
            elif isinstance(step, Delete):
                self.groups[step.name]["properties"]["provisioningState"] = "Deleting"
                self.ready.discard(step.name)
            elif isinstance(step, Start):
                self.groups[step.name]["properties"]["instanceView"]["state"] = "Running"
            else:
                self.groups[step.name]["tags"] = step.tags

    def pass_time(self, *, fails: bool = False) -> None:
        """What was made is ready or has failed, what goes is gone, and every pause is over."""
        self.now += timedelta(hours=1)
        for name, body in list(self.groups.items()):
            if body["properties"]["provisioningState"] == "Deleting":
                del self.groups[name]
            elif body["properties"]["provisioningState"] == "Creating" and fails:
                body["properties"] |= {"provisioningState": "Failed"}
            elif body["properties"]["provisioningState"] == "Creating":
                body["properties"] |= {"provisioningState": "Succeeded"}
                body["properties"]["instanceView"]["state"] = "Running"
                self.ready.add(name)


STATES = {
    "ready": lambda index, of: (group(index, of), True),
    "running": lambda index, of: (group(index, of), False),
    "creating": lambda index, of: (group(index, of, state="Creating", inside=""), False),
    "failed": lambda index, of: (group(index, of, **FAILED), False),
    "stopped": lambda index, of: (group(index, of, inside="Stopped"), False),
    "leaving": lambda index, of: (group(index, of, state="Deleting"), False),
}
worlds = st.dictionaries(st.integers(0, 5), st.tuples(st.sampled_from(sorted(STATES)), st.booleans()), max_size=5)


def world_of(drawn: Mapping[int, tuple[str, bool]], wanted: Desired) -> World:
    world = World()
    for index, (state, is_new) in drawn.items():
        body, is_ready = STATES[state](index, wanted if is_new else OLD)
        world.groups[body["name"]] = body
        if is_ready:
            world.ready.add(body["name"])
    return world


def wanting(replicas: int) -> Desired:
    return NEW if replicas == 3 else desired(replicas=replicas, **LARGER)


@settings(max_examples=60, deadline=None)
@given(worlds, st.integers(0, 4))
def test_from_any_state_it_comes_to_rest_with_exactly_the_wanted_groups_ready(
    drawn: Mapping[int, tuple[str, bool]], replicas: int
) -> None:
    wanted = wanting(replicas)
    world = world_of(drawn, wanted)
    for _ in range(40):
        status = wanted.resource.status.model_copy(update={"attempts": list(world.attempts)})
        now_wanted = Desired(wanted.resource.model_copy(update={"status": status}), wanted.derivation)
        found = plan(now_wanted, world.live(), world.now)
        world.take(found)
        if not found.steps and len(world.groups) == len(world.ready) == replicas:
            break
        world.pass_time()
        # A page that was only slow answers in the end.
        for body in world.groups.values():
            if body["properties"]["instanceView"]["state"] == "Running":
                world.ready.add(body["name"])
    assert not found.steps
    assert len(world.groups) == len(world.ready) == replicas
    assert {body["tags"][BODY_TAG] for body in world.groups.values()} <= {wanted.derivation.manifest["tags"][BODY_TAG]}


@settings(max_examples=150, deadline=None)
@given(worlds, st.integers(1, 4))
def test_no_step_takes_away_a_group_that_serves_before_enough_others_do(
    drawn: Mapping[int, tuple[str, bool]], replicas: int
) -> None:
    wanted = wanting(replicas)
    world = world_of(drawn, wanted)
    digest = wanted.derivation.manifest["tags"][BODY_TAG]

    def serving() -> set[str]:
        """Ready ones, and old ones that run: their page may be slow."""
        old = {
            n for n, b in world.groups.items() if b["tags"][BODY_TAG] != digest and drawn[NAME.index(n)][0] == "running"
        }
        return {n for n in world.ready | old if world.groups[n]["properties"]["provisioningState"] != "Deleting"}

    before = serving()
    found = plan(wanted, world.live(), world.now)
    world.take(found)
    assert len(serving()) >= min(len(before), replicas)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.lists(st.booleans(), max_size=20))
def test_a_new_spec_whose_groups_fail_takes_nothing_down_and_is_rolled_out_once_they_do_not(
    replicas: int, failures: list[bool]
) -> None:
    wanted = wanting(replicas)
    world = world_of(dict.fromkeys(range(replicas), ("ready", False)), wanted)
    for fails in [*failures, *[False] * 40]:
        status = wanted.resource.status.model_copy(update={"attempts": list(world.attempts)})
        now_wanted = Desired(wanted.resource.model_copy(update={"status": status}), wanted.derivation)
        world.take(plan(now_wanted, world.live(), world.now))
        assert len(world.ready) >= replicas
        assert len(world.groups) <= replicas + 1
        world.pass_time(fails=fails)
    assert {body["tags"][BODY_TAG] for body in world.groups.values()} == {wanted.derivation.manifest["tags"][BODY_TAG]}
    assert len(world.groups) == len(world.ready) == replicas


@settings(max_examples=60, deadline=None)
@given(worlds, st.integers(0, 4))
def test_there_is_never_more_than_one_group_beyond_those_that_are_wanted(
    drawn: Mapping[int, tuple[str, bool]], replicas: int
) -> None:
    wanted = wanting(replicas)
    world = world_of(drawn, wanted)
    before = len(world.groups)
    world.take(plan(wanted, world.live(), world.now))
    assert len(world.groups) <= max(before, replicas + 1)


def test_the_resource_s_own_uid_decides_whose_group_it_is() -> None:
    assert WANTED.derivation.manifest["tags"][OWNER_UID_TAG] == "uid-1"
