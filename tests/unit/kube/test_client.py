"""What the client makes of answers of the API server that the library hands on as they are."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from kubernetes.aio.client.exceptions import ApiException

from confidential_summarizer.errors import TransientError
from confidential_summarizer.kube import POD, SUMMARIZER
from confidential_summarizer.kube.client import KubernetesClient


@dataclass
class Answer:
    document: Any

    async def json(self) -> Any:
        return self.document


@dataclass
class Dynamic:
    """The library's client, which is its own catalogue of kinds."""

    answer: Any = None
    looked_up: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)

    @property
    def resources(self) -> "Dynamic":
        return self

    async def get(self, resource: str | None = None, **arguments: Any) -> Any:
        if resource is None:
            self.looked_up.append(arguments["kind"])
            return arguments["kind"]
        self.asked.append(arguments)
        if isinstance(self.answer, Exception):
            raise self.answer
        return Answer(self.answer)


async def test_a_kind_is_looked_up_once() -> None:
    dynamic = Dynamic({"items": []})
    client = KubernetesClient(dynamic)
    for kind in (POD, SUMMARIZER, POD, SUMMARIZER):
        await client.list(kind, "legal")
    assert dynamic.looked_up == ["Pod", "ConfidentialSummarizer"]


async def test_a_list_of_a_kind_that_is_gone_is_not_an_empty_one() -> None:
    client = KubernetesClient(Dynamic(ApiException(status=404)))
    with pytest.raises(TransientError, match="install the CRD"):
        await client.list(SUMMARIZER, "")


async def test_metadata_alone_is_asked_for_and_may_be_of_nothing() -> None:
    dynamic = Dynamic({"items": None})
    assert await KubernetesClient(dynamic).list(SUMMARIZER, "", metadata_only=True) == []
    assert "as=PartialObjectMetadataList" in dynamic.asked[0]["header_params"]["Accept"]
