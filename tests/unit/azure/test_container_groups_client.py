"""The Resource Manager client on the SDK: raw JSON, paging, clouds, and that it repeats and registers nothing itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import AsyncHttpResponse, AsyncHttpTransport

from confidential_summarizer.azure import container_groups
from confidential_summarizer.azure.container_groups import ContainerGroups, Subscriptions
from confidential_summarizer.azure.transport import retry_options
from confidential_summarizer.errors import NotFound, SpecError, Throttled, TransientError, WaitingError

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"


class Answer(AsyncHttpResponse):
    """An answer as the SDK's transport gives it."""

    def __init__(self, request: Any, status: int, body: str, headers: Mapping[str, str]) -> None:
        super().__init__(request, None)
        self.status_code, self.reason, self._body = status, "", body.encode()
        self.headers = {"Content-Type": "application/json", **headers}
        self.content_type = "application/json"

    def body(self) -> bytes:
        return self._body


@dataclass
class Wire(AsyncHttpTransport[Any, Any]):
    """Answers from a list, and keeps what it was asked."""

    answers: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def send(self, request: Any, **_: Any) -> Any:
        self.requests.append(request)
        status, body, headers = self.answers.pop(0)
        return Answer(request, status, body if isinstance(body, str) else json.dumps(body), headers)


@dataclass
class FakeCredential:
    scopes: list[str] = field(default_factory=list)

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken("token", 4102444800)

    async def close(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()
    monkeypatch.setattr(
        container_groups, "client_options", lambda retries: {"transport": wire, **retry_options(retries)}
    )
    return wire


def error(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": "as the service says"}}


async def test_bodies_are_sent_and_returned_as_they_are_whatever_the_models_know(wire: Wire) -> None:
    newer = {"location": "westeurope", "properties": {"aFieldOfTomorrow": {"x": 1}, "containers": []}}
    wire.answers = [(201, newer, {}), (200, newer, {})]
    groups = ContainerGroups(FakeCredential(), SUBSCRIPTION)
    assert await groups.put("rg", "g", newer) == newer
    assert json.loads(wire.requests[0].body) == newer
    assert await groups.get("rg", "g") == newer
    assert "api-version=2023-05-01" in wire.requests[0].url


async def test_a_list_goes_on_from_page_to_page(wire: Wire) -> None:
    following = f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/more?api-version=2023-05-01&skip=1"
    wire.answers = [
        (200, {"value": [{"name": "a", "new": 1}], "nextLink": following}, {}),
        (200, {"value": [{"name": "b"}]}, {}),
    ]
    groups = ContainerGroups(FakeCredential(), SUBSCRIPTION)
    assert await groups.list("rg") == [{"name": "a", "new": 1}, {"name": "b"}]


async def test_one_group_that_is_newer_than_the_sdk_does_not_hide_the_others(wire: Wire) -> None:
    listed = [{"name": "a", "properties": {"containers": "in another form"}}, {"name": "b", "tags": ["also"]}]
    wire.answers = [(200, {"value": listed}, {})]
    assert await ContainerGroups(FakeCredential(), SUBSCRIPTION).list("rg") == listed


@pytest.mark.parametrize(("status", "body"), [(204, ""), (404, error("ResourceNotFound"))])
async def test_a_group_that_is_gone_is_deleted(wire: Wire, status: int, body: Any) -> None:
    wire.answers = [(status, body, {})]
    await ContainerGroups(FakeCredential(), SUBSCRIPTION).delete("rg", "g")
    assert [request.method for request in wire.requests] == ["DELETE"]


async def test_a_resource_group_that_is_gone_is_more_than_a_group_that_is(wire: Wire) -> None:
    wire.answers = [(404, error("ResourceGroupNotFound"), {})] * 2
    groups = ContainerGroups(FakeCredential(), SUBSCRIPTION)
    for call in (groups.get, groups.delete):
        with pytest.raises(NotFound):
            await call("rg", "g")


async def test_throttling_is_seen_at_once_with_its_waiting_time(wire: Wire) -> None:
    wire.answers = [(429, error("TooManyRequests"), {"Retry-After": "17"})]
    with pytest.raises(Throttled) as caught:
        await ContainerGroups(FakeCredential(), SUBSCRIPTION).list("rg")
    assert caught.value.retry_after == 17
    assert len(wire.requests) == 1


async def test_the_sdk_does_not_register_a_provider_and_wait_for_it(wire: Wire) -> None:
    wire.answers = [(409, error("MissingSubscriptionRegistration"), {})]
    with pytest.raises(WaitingError, match="az provider register"):
        await ContainerGroups(FakeCredential(), SUBSCRIPTION).put("rg", "g", {})
    assert len(wire.requests) == 1


async def test_an_answer_that_is_no_json_may_be_another_next_time(wire: Wire) -> None:
    wire.answers = [(200, "<html>", {})]
    with pytest.raises(TransientError, match="no JSON"):
        await ContainerGroups(FakeCredential(), SUBSCRIPTION).get("rg", "g")


@pytest.mark.parametrize(
    ("cloud", "host", "scope"),
    [
        ("AzureCloud", "management.azure.com", "https://management.azure.com/.default"),
        ("AzureUSGovernment", "management.usgovcloudapi.net", "https://management.core.usgovcloudapi.net/.default"),
        ("AzureChinaCloud", "management.chinacloudapi.cn", "https://management.chinacloudapi.cn/.default"),
    ],
)
async def test_each_cloud_has_its_own_endpoint_and_audience(wire: Wire, cloud: str, host: str, scope: str) -> None:
    wire.answers = [(200, {"value": []}, {})]
    who = FakeCredential()
    async with Subscriptions(who, cloud=cloud) as subscriptions:
        await subscriptions(SUBSCRIPTION).list("rg")
        assert subscriptions(SUBSCRIPTION.upper()) is subscriptions(SUBSCRIPTION)
    assert wire.requests[0].url.startswith(f"https://{host}/subscriptions/")
    assert who.scopes == [scope]


def test_a_cloud_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(SpecError, match="AzureUSGovernment"):
        Subscriptions(FakeCredential(), cloud="Mars")
