"""What the client makes of answers of the API server that the library hands on as they are."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.exceptions import ApiException

from confidential_summarizer.errors import AccessDenied, SpecError, SummarizerError, TransientError, WaitingError
from confidential_summarizer.kube import POD, SUMMARIZER
from confidential_summarizer.kube.client import KubernetesClient, connect


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


def refused(status: int, message: str, **headers: str) -> ApiException:
    """What the library raises for an answer of the API server."""
    error = ApiException(status=status, reason="its reason")
    error.body = json.dumps({"kind": "Status", "code": status, "message": message})
    error.headers = headers  # type: ignore[assignment]
    return error


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('pods is forbidden: User "csum" cannot list resource "pods" in API group "" at the cluster scope', AccessDenied),
        ('configmaps "a" is forbidden: exceeded quota: q, requested: count/configmaps=1, limited: 0', WaitingError),
        ('configmaps "a" is forbidden: unable to create new content in namespace legal because it is being terminated',
         WaitingError),
        ('admission webhook "images.example" denied the request: the image is not signed', WaitingError),
    ],
)  # fmt: skip
async def test_what_admission_refuses_is_not_blamed_on_the_operators_rights(
    message: str, kind: type[SummarizerError]
) -> None:
    with pytest.raises(SummarizerError, match=r"cannot|refuses it") as found:
        await KubernetesClient(Dynamic(refused(403, message))).get(POD, "legal", "a")
    assert type(found.value) is kind


async def test_the_api_server_says_how_long_to_leave_it_alone() -> None:
    with pytest.raises(TransientError) as found:
        await KubernetesClient(Dynamic(refused(429, "too many requests", **{"Retry-After": "7"}))).get(POD, "l", "a")
    assert found.value.retry_after == 7


async def test_an_answer_that_breaks_off_may_be_whole_the_next_time() -> None:
    client = KubernetesClient(Dynamic(json.JSONDecodeError("no end", "{", 1)))
    with pytest.raises(TransientError):
        await client.get(POD, "legal", "a")


async def test_metadata_alone_is_asked_for_and_may_be_of_nothing() -> None:
    dynamic = Dynamic({"items": None})
    assert await KubernetesClient(dynamic).list(SUMMARIZER, "", metadata_only=True) == []
    assert "as=PartialObjectMetadataList" in dynamic.asked[0]["header_params"]["Accept"]


@pytest.mark.parametrize("content", [b"- 1\n", b"text\n", b"", b"\xff\xfe", b"a: [", None])
async def test_a_file_that_is_no_kubeconfig_is_named(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kubeconfig"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(SpecError, match=f"{file} is no kubeconfig: correct KUBECONFIG"):
        async with connect():
            pass


async def test_the_api_server_is_asked_through_the_proxy_of_the_environment_and_without_a_netrc_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[tuple[str, str | None]] = set()

    async def answer(request: web.Request) -> web.Response:
        asked.add((request.host, request.headers.get("Authorization")))
        return web.Response(status=503)

    app = web.Application()
    app.add_routes([web.get("/{path:.*}", answer)])
    cluster = {"name": "c", "cluster": {"server": "http://cluster.invalid"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "c"}}
    config = {
        "current-context": "c",
        "clusters": [cluster],
        "contexts": [context],
        "users": [{"name": "c", "user": {}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    (tmp_path / "netrc").write_text("machine cluster.invalid login us password secret\n")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with TestServer(app) as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, str(proxy.make_url("/")))
        with pytest.raises(TransientError, match="503"):
            async with connect():
                pass
    assert asked == {("cluster.invalid", None)}
