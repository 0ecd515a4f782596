"""Events: one object for each thing that is said, counted, and never in anybody's way."""

from typing import Any

from confidential_summarizer.errors import AccessDenied
from confidential_summarizer.kube.events import Events
from tests.support.fakes import FakeKube
from tests.support.resources import document


def said(kube: FakeKube) -> list[dict[str, Any]]:
    return [known for (kind, _, _), known in kube.objects.items() if kind == "Event"]


async def test_the_same_thing_is_counted_and_another_one_stands_beside_it() -> None:
    kube, resource = FakeKube(), document()
    for message in ("1 of 2 ready", "1 of 2 ready", "2 of 2 ready"):
        await Events(kube)(resource, normal=True, reason="RollingOut", message=message)
    assert [(event["message"], event["count"]) for event in said(kube)] == [("1 of 2 ready", 2), ("2 of 2 ready", 1)]
    assert said(kube)[0]["involvedObject"]["uid"] == "uid-1"


async def test_a_resource_made_again_does_not_inherit_the_events_of_its_predecessor() -> None:
    kube, resource = FakeKube(), document()
    await Events(kube)(resource, normal=False, reason="Deleting", message="x")
    resource["metadata"]["uid"] = "uid-2"
    await Events(kube)(resource, normal=False, reason="Deleting", message="x")
    assert [event["count"] for event in said(kube)] == [1, 1]


async def test_a_namespace_that_takes_no_events_stops_nothing() -> None:
    class Terminating(FakeKube):
        async def create(self, manifest: Any) -> Any:
            raise AccessDenied("the namespace is being terminated")

    await Events(Terminating())(document(), normal=True, reason="Ready", message="x")
