"""Chaos with a seed: faults of every service, an operator killed at every boundary, and people who change their minds.

`python -m tests.support.chaos SEED FAULTS` goes on until so many requests have met a fault and every boundary has seen a
kill; then it lets calm return, and looks whether everything settles, and whether anything was lost.
"""

import base64
import contextlib
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure_sandbox.azure.principals import OPERATOR, OWNER
from confidential_summarizer.release import ReleasePolicy
from confidential_summarizer.targets.ownership import OWNER_UID_TAG
from tests.support.chaos_world import CONTROLS, FOREIGN_GROUPS, KEYS, NAMESPACE, World, resource, world

SETTLE_SECONDS = 120.0
CAUGHT_SECONDS = 0.7
"""How long the call lasts in which the operator is killed; no other fault is as slow."""
BOUNDARY_SECONDS = 10.0
"""How long the operator may take to come to the boundary at which it is to be killed; then it is killed elsewhere."""
MOST_ROUNDS = 200
"""Far more than it takes to come to every boundary."""
LASTING_SECONDS = 20.0
"""A broken promise that heals within this time was a matter of two looks that do not happen at once."""

GROUP, GROUP_LIST = f"*/containergroups/{NAMESPACE}-arm-*", "*/containergroups"
"""Groups of the operator; the node makes those of its pods itself."""
CALLS: Mapping[str, tuple[str, str, str]] = {
    "sign in": ("login", "POST", "*"),
    "look at the key": ("vault", "GET", "*"),
    "import the key": ("vault", "PUT", "*"),
    "change the key's policy": ("vault", "PATCH", "*"),
    "delete the key": ("vault", "DELETE", "*"),
    "list groups": ("resource-manager", "GET", GROUP_LIST),
    "look at a group": ("resource-manager", "GET", GROUP),
    "make a group": ("resource-manager", "PUT", GROUP),
    "delete a group": ("resource-manager", "DELETE", GROUP),
    "ask the attestation service": ("attestation", "GET", "*"),
    "look at an image": ("registry", "*", "*"),
}
"""Boundaries that are calls: the service is slow there, and the operator dies while it waits for the answer."""
SAID = ("Measuring", "Resolved", "Generated", "Admitted", "RollingOut", "RolledOut", "Verified", "Ready", "Deleting")
"""Boundaries that are told: the operator dies as soon as its log says so."""
BOUNDARIES = (*CALLS, *SAID)

ANSWERED = ("login", "vault", "attestation", "resource-manager")
TRUE_REASONS = {"taken": "NameTaken", "thief": "KeyNotOwned"}
"""What has to become of resources that ask for what is other people's."""
KEPT = ("vn-0", "arm-0")
"""Their keys outlive them."""


def some_fault(dice: random.Random) -> dict[str, Any]:
    """Draw one fault."""
    times = dice.randint(1, 5)
    match dice.randrange(8):
        case 0 | 1:
            kind = dice.choice(("throttled", "unavailable", "broken", "answer-lost"))
            return {"service": dice.choice(ANSWERED), "kind": kind, "times": times}
        case 2:
            kind = dice.choice(("throttled", "unavailable", "broken", "slow"))
            return {"service": "registry", "kind": kind, "times": times, "delay": 0.5}
        case 3:
            path = {"method": dice.choice(("PUT", "DELETE")), "path": "*/containergroups/*"}
            return {"service": "resource-manager", "kind": "answer-lost", "times": times, **path}
        case 4:
            return {"service": dice.choice(ANSWERED), "kind": "slow", "times": times, "delay": dice.uniform(0.1, 1)}
        case 5:
            service = dice.choice((*ANSWERED, "registry", "kubernetes"))
            return {"service": service, "kind": "down", "seconds": dice.uniform(0.3, 1.5)}
        case 6:
            return {"service": dice.choice((*ANSWERED, "kubernetes", "kubernetes")), "kind": "cut"}
    kind = dice.choice(
        ("quota", "registry-error", "image-inaccessible", "capacity", "image-pull", "mount-failure", "slow-operation")
    )
    # Groups of pods are the node's to repair, which the platform does: there they start after all.
    arm = dice.random() < 0.6
    path = f"*/containergroups/{NAMESPACE}-{'arm' if arm else 'vn'}-*"
    end = {} if arm else {"recover_after": dice.uniform(0.2, 2)}
    return {"service": "resource-manager", "kind": kind, "path": path, "delay": 1, **end}


@dataclass
class Chaos:
    """One run.

    Attributes:
        world: Where.
        dice: Decides everything.
        wanted: What people want: arguments of `resource` by name; a missing name is one that was deleted.
        kills: How often the operator was killed at which boundary.
        tries: How often it was meant to be.
        broken: Promises that are broken at present, since when.
        planted: What is other people's, as it was.
    """

    world: World
    dice: random.Random
    wanted: dict[str, dict[str, Any]] = field(default_factory=dict)
    kills: Counter[str] = field(default_factory=Counter)
    tries: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    broken: dict[str, float] = field(default_factory=dict)
    planted: str = ""

    def run(self, faults: int, rounds: int, names: int = 3) -> None:
        """Go through so many rounds at least, and on until so many faults were met and, if any, every boundary saw a kill."""
        self.planted = self._foreign()
        for target in ("vn", "arm"):
            for index in range(names):
                self._want(f"{target}-{index}", replicas=1 + index % 2)
        self.world.kubectl.apply(resource("taken"))
        self.world.kubectl.apply(resource("thief", key={"name": "theirs"}))
        ahead, done = self.dice.sample(BOUNDARIES, len(BOUNDARIES)), 0
        while done < rounds or sum(self.world.met().values()) < faults or (faults and ahead):
            boundary = ahead.pop(0) if ahead else self.dice.choice(BOUNDARIES)
            if not self._round(boundary):
                ahead.append(boundary)
            done += 1
            assert done < MOST_ROUNDS, f"the operator never came to be killed at {ahead}"
        self.world.start_operator()
        self.world.calm()
        self._settle()
        self._delete_everything()

    def _round(self, boundary: str) -> bool:
        """Go through one round; tell whether the operator was killed at the boundary.

        At first the operator works while things change. If it does not come to the boundary so, faults that still lie
        ahead of it are forgotten, and it starts after the changes and has to do everything once more.
        """
        self._purge()
        self.tries[boundary] += 1
        if self.tries[boundary] == 1:
            self.world.start_operator()
        else:
            self.world.calm()
        for _ in range(self.dice.randint(1, 2)):
            self._change()
        for _ in range(self.dice.randint(16, 30) // self.tries[boundary]):  # else some are never come to
            self.world.fault(**some_fault(self.dice))
        killed = self._kill_at(boundary, self._provoke)
        self._look()
        return killed

    # What people do

    def _want(self, name: str, **changes: Any) -> None:
        self.wanted[name] = {**self.wanted.get(name, {}), **changes}
        key = {"deletionPolicy": "Retain" if name in KEPT else "Delete"}
        self.world.kubectl.apply(resource(name, key=key, **self.wanted[name]))

    def _change(self) -> None:
        name = self.dice.choice(sorted(self.wanted))
        kind = self.dice.choice(("words", "words", "scale", "recreate", "edit", "kill a group", "maintain"))
        self.changes[kind] += 1
        match kind:
            case "words":
                self._want(name, words=self.dice.randint(50, 150))
            case "scale":
                self._want(name, replicas=self.dice.choice((0, 1, 1, 2)))
            case "recreate":
                self.world.kubectl("-n", NAMESPACE, "delete", "csum", name, "--wait=false", "--ignore-not-found")
                if name not in self.world.resources():
                    self._want(name)
            case "edit":
                self.world.kubectl.run("-n", NAMESPACE, "set", "env", f"deployment/{name}", "EVIL=1", check=False)
            case "kill a group":
                self.world.kubectl(
                    "-n", NAMESPACE, "delete", "pod", "-l", f"app.kubernetes.io/instance={name}", "--wait=false"
                )
            case "maintain":
                ours = [group for group in sorted(self.world.groups()) if group not in FOREIGN_GROUPS]
                for group in ours[:1]:
                    self._carelessly("POST", f"{CONTROLS}/sandbox/groups/{group}/maintenance")
        for name in set(self.wanted) - set(self.world.resources()):  # somebody deleted it before
            self._want(name)

    def _purge(self) -> None:
        """Do what the status asks the keys' owner for, when a resource is made again whose key went with the first."""
        for name, key in self.world.keys().items():
            if key["deleted"]:
                self._carelessly("DELETE", f"{KEYS.removesuffix('/keys')}/deletedkeys/{name}", OWNER)

    def _carelessly(self, method: str, url: str, who: str = OPERATOR) -> None:
        with contextlib.suppress(OSError):  # refused just now
            self.world.call(method, url, who)

    def _provoke(self, boundary: str) -> None:
        """Change what leads to the boundary."""
        name = self.dice.choice([one for one in sorted(self.wanted) if one.startswith("arm") and one not in KEPT])
        if boundary in ("delete the key", "delete a group", "Deleting"):
            self.world.kubectl("-n", NAMESPACE, "delete", "csum", name, "--wait=false", "--ignore-not-found")
        elif boundary == "import the key":
            self._want(f"arm-{len(self.wanted)}")
        else:
            self._want(name, words=self.dice.randint(150, 250), replicas=1)

    def _kill_at(self, boundary: str, provoke: Callable[[str], None] = lambda _: None) -> bool:
        deadline = time.monotonic() + BOUNDARY_SECONDS
        if boundary in CALLS:
            service, method, path = CALLS[boundary]
            caught = CAUGHT_SECONDS + BOUNDARIES.index(boundary) / 1000  # one boundary is told from another by it
            self.world.fault(service=service, kind="slow", method=method, path=path, delay=caught)
            arrived: Callable[[], bool] = lambda: caught not in self.world.delays()  # noqa: E731
        else:
            length = len(self.world.log())
            arrived = lambda: f'"reason": "{boundary}"' in self.world.log()[length:]  # noqa: E731
        provoke(boundary)
        self.world.start_operator()
        while time.monotonic() < deadline:
            if arrived():
                break
            time.sleep(0.03)
        else:
            boundary = "elsewhere"
        self.kills[boundary] += 1
        self.world.kill_operator()
        return boundary != "elsewhere"

    # What has to hold

    def _look(self) -> None:
        """Look whether what has to hold at any time holds; only what stays broken is an error."""
        now = time.monotonic()
        found = self._broken_promises()
        self.broken = {text: self.broken.get(text, now) for text in found}
        lasting = [text for text, since in self.broken.items() if now - since > LASTING_SECONDS]
        assert not lasting, "\n".join(lasting)

    def _broken_promises(self) -> list[str]:
        resources, groups, keys, pods = (
            self.world.resources(), self.world.groups(), self.world.keys(), self.world.pods(),
        )  # fmt: skip
        found = []
        uids = {one["metadata"]["uid"]: one for one in resources.values()}
        for name, group in groups.items():
            if name in FOREIGN_GROUPS or group["provisioningState"] == "Deleting":
                continue
            tags = group["body"].get("tags") or {}
            pod = pods.get(tags.get("UID", ""))
            owner = uids.get(tags[OWNER_UID_TAG]) if OWNER_UID_TAG in tags else pod
            if owner is None:
                found.append(f"group {name} has no owner")
                continue
            if pod is not None:
                instance = pod["metadata"]["labels"]["app.kubernetes.io/instance"]
                owner = None if pod["metadata"].get("deletionTimestamp") else resources.get(instance)
            if owner is None or owner["metadata"].get("deletionTimestamp"):
                continue
            key = keys.get(owner["spec"]["fileSystems"][0]["key"]["name"])
            if key is None or key["deleted"] or not key["versions"][-1]["enabled"]:
                found.append(f"the key of group {name} is lost")
            elif _host_data(group) not in _admitted(key):
                found.append(f"the key of group {name} does not admit its policy")
        for name, one in resources.items():
            own = [g for g, group in groups.items() if _is_of(group, one) and group["provisioningState"] != "Deleting"]
            if len(own) > one["spec"]["replicas"] + 1:
                found.append(f"{name} has {len(own)} groups for {one['spec']['replicas']} replicas")
        if self._foreign() != self.planted:
            found.append("something that is not ours was changed")
        return found

    def _foreign(self) -> str:
        """Everything that is other people's, as text."""
        kubectl, groups = self.world.kubectl, self.world.groups()
        found = [self.world.keys().get("theirs"), *(groups.get(name, {}).get("body") for name in FOREIGN_GROUPS)]
        for kind, name, part in (("deployment", "taken", "spec"), ("configmap", "taken-policy", "data")):
            one = kubectl.get("-n", NAMESPACE, kind, name) or {"metadata": {}}
            found.append([one["metadata"].get("uid"), one.get(part)])
        return json.dumps(found, sort_keys=True)

    def _settle(self) -> None:
        """Wait until every resource is Ready, or says the reason why it cannot be, and all that has to hold holds."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            for name in set(self.wanted) - set(self.world.resources()):
                self._want(name)
            self._purge()
            missing = [*self._unsettled(), *self._broken_promises(), *self._miscounted()]
            if not missing:
                return
            assert time.monotonic() < deadline, "\n".join(missing)
            time.sleep(0.5)

    def _unsettled(self) -> list[str]:
        found = []
        for name, one in self.world.resources().items():
            conditions = {c["type"]: c for c in one["status"].get("conditions", ())}
            ready = conditions.get("Ready", {"status": "Unknown", "reason": "", "message": ""})
            if name in TRUE_REASONS:
                settled = ready["reason"] == TRUE_REASONS[name]
            else:
                settled = ready["status"] == "True" and ready["observedGeneration"] == one["metadata"]["generation"]
            if not settled or one["metadata"].get("deletionTimestamp"):
                found.append(f"{name} is not settled: {ready['reason']} {ready['message']}")
        return found

    def _miscounted(self) -> list[str]:
        """Every replica has one group, and no key admits anything but what runs."""
        groups, pods, keys = self.world.groups(), self.world.pods(), self.world.keys()
        found = []
        for name, one in self.world.resources().items():
            if name in TRUE_REASONS:
                continue
            own = [group for group in groups.values() if _is_of(group, one, pods)]
            if len(own) != one["spec"]["replicas"]:
                found.append(f"{name} has {len(own)} groups for {one['spec']['replicas']} replicas")
            admitted = _admitted(keys[f"{name}-key"]) if f"{name}-key" in keys else ()
            if len(admitted) != 1:
                found.append(f"the key of {name} admits {len(admitted)} policies")
        return found

    def _delete_everything(self) -> None:
        """Delete while services fail again; everything that is ours ends, and nothing else."""
        kept = {name: self.world.keys()[f"{name}-key"] for name in KEPT}
        self.world.kubectl("-n", NAMESPACE, "delete", "csum", "--all", "--wait=false")
        for _ in range(6):
            self.world.fault(**some_fault(self.dice))
        self._kill_at("Deleting")
        self.world.start_operator()
        self.world.calm()
        deadline = time.monotonic() + SETTLE_SECONDS
        while left := [*self.world.resources(), *(set(self.world.groups()) - set(FOREIGN_GROUPS))]:
            assert time.monotonic() < deadline, f"left after the deletion: {left}"
            time.sleep(0.5)
        keys = self.world.keys()
        assert {name for name, key in keys.items() if not key["deleted"]} == {"theirs", *(f"{n}-key" for n in KEPT)}
        assert all(keys[f"{name}-key"]["versions"] == key["versions"] for name, key in kept.items()), "a key was lost"
        assert self._foreign() == self.planted, "something that is not ours was changed"
        assert "a bug" not in self.world.log(), "the operator calls something a bug: see its log"

    def summary(self) -> str:
        """What happened."""
        met = self.world.met()
        return (
            f"{sum(met.values())} faults met: {json.dumps(met, sort_keys=True)}\n"
            f"{sum(self.kills.values())} kills: {json.dumps(self.kills, sort_keys=True)}\n"
            f"{sum(self.changes.values())} changes: {json.dumps(self.changes, sort_keys=True)}"
        )


def _host_data(group: Mapping[str, Any]) -> str:
    policy = group["body"]["properties"]["confidentialComputeProperties"]["ccePolicy"]
    return hashlib.sha256(base64.b64decode(policy)).hexdigest()


def _admitted(key: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the host-data that a key's release policy admits."""
    data = key["release_policy"]["data"]
    return ReleasePolicy.parse(base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))).host_data


def _is_of(group: Mapping[str, Any], one: Mapping[str, Any], pods: Mapping[str, Any] | None = None) -> bool:
    tags = group["body"].get("tags") or {}
    pod = (pods or {}).get(tags.get("UID", ""))
    if pod is not None:
        return bool(pod["metadata"]["labels"].get("app.kubernetes.io/instance") == one["metadata"]["name"])
    return bool(tags.get(OWNER_UID_TAG) == one["metadata"]["uid"])


def main(seed: int, faults: int, rounds: int = len(BOUNDARIES)) -> None:
    """Run once, and print what happened.

    Raises:
        AssertionError: Something did not settle or was lost; with the seed, and the end of the operators' log.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="csum-") as home, world(Path(home)) as made:
        chaos = Chaos(made, random.Random(seed))  # noqa: S311  (has to come out the same each time)
        say(f"seed {seed}; the sandbox is up after {time.monotonic() - began:.0f} s")
        try:
            chaos.run(faults, rounds)
        except (AssertionError, subprocess.CalledProcessError) as error:
            said = f"{error}\n{getattr(error, 'stderr', '')}"
            raise AssertionError(f"seed {seed}: {said}\n{chaos.summary()}\n{made.log()[-20000:]}") from error
        say(f"{chaos.summary()}\nall settled, nothing lost, after {time.monotonic() - began:.0f} s")


def say(text: str) -> None:
    """Tell whoever watches."""
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
