"""The unmodified azure-cli walks from sign-in to a deployed group and back, against the stand-ins' process."""

import json
import tempfile
from pathlib import Path

import pytest
import yaml

from azure_sandbox.azure.principals import OPERATOR, OWNER
from azure_sandbox.blobs import Blobs
from azure_sandbox.names import BLOB_ACCOUNT, LOCATION, REGISTRY, RESOURCE_GROUP, SUBSCRIPTION, TENANT
from azure_sandbox.registry import Registry
from tests.support.azure_cli import AzureCli
from tests.support.azure_client import body
from tests.support.data_owner import SmallAzure, csum
from tests.support.guest_images import layer, push, registry
from tests.support.resources import document

pytestmark = pytest.mark.slow

GROUP = ("-g", RESOURCE_GROUP)
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
IDENTITY = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/"
    "Microsoft.ManagedIdentity/userAssignedIdentities/summarizer"
)


@pytest.fixture(scope="module")
def az(tmp_path_factory):
    with tempfile.TemporaryDirectory(prefix="csum-") as home, SmallAzure(Path(home)).running() as azure:
        az = AzureCli(azure.state, tmp_path_factory.mktemp("azure-cli"))
        az.login(OPERATOR)
        yield az


@pytest.fixture
def image(tmp_path_factory):
    with registry(tmp_path_factory.mktemp("registry")) as host:
        yield push(host, "summarizer", [layer({"start.sh": b"#!/bin/sh\n"})], {"Cmd": ["/start.sh"]})


def template(**changes):
    resource = {"type": "Microsoft.ContainerInstance/containerGroups", "apiVersion": "2023-05-01", **body()}
    return {"$schema": SCHEMA, "contentVersion": "1.0.0.0", "resources": [{**resource, "name": "one"}], **changes}


def written(folder, content):
    path = folder / "template.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_who_is_signed_in_and_what_there_is(az):
    account = az.json("account", "show")
    assert (account["id"], account["tenantId"], account["user"]["type"]) == (SUBSCRIPTION, TENANT, "servicePrincipal")
    assert [one["id"] for one in az.json("account", "list")] == [SUBSCRIPTION]
    assert [one["name"] for one in az.json("group", "list")] == [RESOURCE_GROUP]
    assert az.json("group", "show", "-n", RESOURCE_GROUP)["location"] == LOCATION


def test_what_csum_renders_is_deployed_shown_and_deleted(az, image, tmp_path):
    subnet = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
    target = {
        "subscriptionID": SUBSCRIPTION,
        "resourceGroup": RESOURCE_GROUP,
        "location": LOCATION,
        "subnetIDs": [subnet],
    }
    resource = document(
        image=image, sidecars={"encfs": image}, identity={"resourceID": IDENTITY}, target={"containerGroup": target}
    )
    (tmp_path / "resource.yaml").write_text(yaml.safe_dump(resource))
    rendered = csum("--loopback-registry", "render", tmp_path / "resource.yaml", "--output", "arm-template")
    assert rendered.code == 0, rendered.err
    file = written(tmp_path, rendered.out)

    assert az.json("deployment", "group", "validate", *GROUP, "-f", file)["error"] is None
    deployed = az.json("deployment", "group", "create", *GROUP, "-n", "walk", "-f", file)
    assert deployed["properties"]["provisioningState"] == "Succeeded"
    name = rendered.data["resources"][0]["name"]
    assert name in az.text("container", "list", *GROUP, "-o", "table")
    assert "Running" in az.text("container", "show", *GROUP, "-n", name, "-o", "table")
    shown = az.json("container", "show", *GROUP, "-n", name)
    assert shown["confidentialComputeProperties"]["ccePolicy"]
    assert az.text("container", "logs", *GROUP, "-n", name, "--container-name", "summarizer").startswith("one\ntwo")
    az.text("container", "delete", *GROUP, "-n", name, "--yes")
    assert az.json("container", "list", *GROUP) == []


def test_registry_and_storage_let_in_who_has_a_role_there(az):
    """`az` asks Resource Manager where they are, exchanges its token for the registry's, and takes storage's refusal."""
    servers = (Registry(az.state), Blobs(az.state))
    for server in servers:
        server.up(print)
    try:
        assert az.json("acr", "login", "-n", "party1", "--expose-token")["loginServer"] == REGISTRY
        assert az.json("acr", "repository", "list", "-n", "party1") == []
        storage = ("storage", "container", "list", "--account-name", BLOB_ACCOUNT, "--auth-mode", "login")
        refused = az.run(*storage)
        assert refused.returncode != 0
        assert "You do not have the required permissions" in refused.stderr
        az.login(OWNER)
        assert az.json(*storage) == []
    finally:
        az.login(OPERATOR)
        for server in servers:
            server.down()


def test_a_template_with_parameters_comments_and_no_address(az, tmp_path):
    content = template(
        parameters={"name": {"type": "string"}, "count": {"type": "int", "defaultValue": 1}},
        variables={"name": "[toLower(concat(parameters('name'), '-', parameters('count')))]"},
        outputs={"id": {"type": "string", "value": "[resourceId('Microsoft.ContainerInstance/containerGroups', 'x')]"}},
    )
    content["resources"][0] |= {"name": "[variables('name')]", "location": "[resourceGroup().location]"}
    file = written(tmp_path, "// by hand\n" + json.dumps(content, indent=1))

    made = az.json("deployment", "group", "create", *GROUP, "-n", "byhand", "-f", file, "-p", "name=WITH")

    assert made["properties"]["parameters"]["name"] == {"type": "string", "value": "WITH"}
    assert made["properties"]["outputs"]["id"]["value"].endswith("/containerGroups/x")
    assert az.json("deployment", "group", "show", *GROUP, "-n", "byhand")["name"] == "byhand"
    assert az.json("container", "show", *GROUP, "-n", "with-1").get("ipAddress") is None
    assert "with-1" in az.text("container", "show", *GROUP, "-n", "with-1", "-o", "table")
    az.text("container", "delete", *GROUP, "-n", "with-1", "--yes")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"outputs": {"x": {"type": "string", "value": "[reference('x').y]"}}}, "InvalidTemplate"),
        ({"resources": [{"type": "Microsoft.Compute/disks", "apiVersion": "2023-01-01", "name": "x"}]}, "InvalidT"),
    ],
)
def test_a_template_that_the_sandbox_cannot_deploy_is_refused_before_anything_is_made(az, tmp_path, changes, code):
    refused = az.run("deployment", "group", "create", *GROUP, "-f", written(tmp_path, template(**changes)))
    assert refused.returncode != 0
    assert code in refused.stderr
    assert az.json("container", "list", *GROUP) == []


def test_a_group_that_the_policy_refuses_fails_its_deployment(az, tmp_path):
    content = template()
    content["resources"][0]["properties"]["containers"][0]["properties"]["image"] = "party1.azurecr.io/s:denied"
    failed = az.run("deployment", "group", "create", *GROUP, "-n", "denied", "-f", written(tmp_path, content))
    assert failed.returncode != 0
    assert "DeploymentFailed" in failed.stderr
    assert "policyDecision" in failed.stderr
    az.text("container", "delete", *GROUP, "-n", "one", "--yes")


def test_running_a_command_in_a_group_is_refused_with_the_reason(az, tmp_path):
    az.text("deployment", "group", "create", *GROUP, "-f", written(tmp_path, template()))
    refused = az.run("container", "exec", *GROUP, "-n", "one", "--exec-command", "/bin/sh")
    assert refused.returncode != 0
    assert "no policy of the product allows it" in refused.stderr
    az.text("container", "delete", *GROUP, "-n", "one", "--yes")
