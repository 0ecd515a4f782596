"""A client of the stand-ins in the test's own process, and the container groups that tests put."""

import asyncio
import copy

from azure_sandbox.azure.principals import OPERATOR
from azure_sandbox.names import RESOURCE_GROUP, SUBSCRIPTION

PROVIDER = "Microsoft.ContainerInstance/containerGroups"
GROUPS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/{PROVIDER}"


class Azure:
    """A client that names the host of each request, as the proxy's clients do."""

    def __init__(self, stand_ins, client):
        self.stand_ins = stand_ins
        self.client = client

    def token(self, who, audience):
        return self.stand_ins.tokens.issue(self.stand_ins.principals[who], audience).value

    async def call(self, method, host, path, *, token=None, **options):
        headers = {"Host": host, **options.pop("headers", {})}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        answer = await self.client.request(method, path, headers=headers, **options)
        text = await answer.text()
        return answer, (await answer.json() if text and "json" in answer.content_type else text)

    async def manage(self, method, path, version="2023-05-01", **options):
        url = f"{path}{'&' if '?' in path else '?'}api-version={version}"
        token = self.token(OPERATOR, "https://management.azure.com")
        return await self.call(method, "management.azure.com", url, token=token, **options)

    async def group(self, method, name, rest="", **options):
        return await self.manage(method, f"{GROUPS}/{name}{rest}", **options)

    async def control(self, method, path, **options):
        return await self.call(method, "management.azure.com", f"/sandbox/{path}", **options)


BODY = {
    "location": "westeurope",
    "tags": {"owner": "legal"},
    "properties": {
        "sku": "Confidential",
        "osType": "Linux",
        "restartPolicy": "Never",
        "confidentialComputeProperties": {"ccePolicy": "cGFja2FnZSBwb2xpY3kK"},
        "containers": [
            {
                "name": "app",
                "properties": {
                    "image": "party1.azurecr.io/summarizer:runs",
                    "environmentVariables": [{"name": "A", "value": "x"}, {"name": "B", "secureValue": "planted"}],
                    "ports": [{"port": 8501}],
                    "resources": {"requests": {"cpu": 1, "memoryInGB": 2}},
                },
            }
        ],
    },
}


def body(tag="runs", **properties):
    made = copy.deepcopy(BODY)
    made["properties"]["containers"][0]["properties"]["image"] = f"party1.azurecr.io/summarizer:{tag}"
    made["properties"].update(properties)
    return made


def code(content):
    return content["error"]["code"]


async def settle(azure, name):
    """Let the group's background task run until it has ended."""
    task = azure.stand_ins.groups.get(name).task
    await asyncio.wait([task], timeout=5)
    assert task.done()


async def put(azure, name, content):
    answer, shown = await azure.group("PUT", name, json=content)
    assert answer.status in (200, 201), shown
    await settle(azure, name)
    return answer


async def show(azure, name):
    _, content = await azure.group("GET", name)
    return content


async def settle_deletion(azure, name):
    group = azure.stand_ins.groups.find(name)
    if group is not None:
        await asyncio.wait([group.task], timeout=5)
