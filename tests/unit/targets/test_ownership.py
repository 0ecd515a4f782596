"""Whose an object is that already has the name which a resource needs."""

import pytest

from confidential_summarizer.errors import NameTaken, WaitingError
from confidential_summarizer.kube import CONFIG_MAP
from confidential_summarizer.targets.ownership import get_ours, owner_reference
from tests.support.fakes import FakeKube
from tests.support.resources import resource


async def look(*owners: dict[str, object]) -> bool:
    kube, metadata = FakeKube(), resource().metadata
    meta = {"name": "contracts-policy", "namespace": "legal", "uid": "x", "ownerReferences": list(owners)}
    kube.put({"kind": "ConfigMap", "metadata": meta})
    return await get_ours(kube, metadata, CONFIG_MAP, "contracts-policy") is not None


async def test_what_a_resource_of_the_same_name_left_is_waited_for_until_kubernetes_has_removed_it() -> None:
    ours = owner_reference(resource().metadata)
    assert await look(ours)
    with pytest.raises(WaitingError, match="is of an earlier legal/contracts") as waits:
        await look({**ours, "uid": "an earlier one"})
    assert waits.value.retry_after == 2


async def test_what_is_of_somebody_else_is_no_matter_of_waiting() -> None:
    theirs = {"apiVersion": "v1", "kind": "Application", "name": "contracts", "uid": "y"}
    for owners in ((), (theirs,)):
        with pytest.raises(NameTaken):
            await look(*owners)
