import copy

import pytest

from azure_sandbox.azure.arm.validation import validate
from azure_sandbox.azure.errors import ServiceError
from tests.support.azure_client import BODY


def changed(path, value):
    made = copy.deepcopy(BODY)
    target = made
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return made


APP = ("properties", "containers", 0, "properties")


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        (("location",), None, "LocationRequired"),
        (("location",), "moon", "LocationNotAvailableForResourceType"),
        (("properties", "sku"), "Standard", "SkuNotSupported"),
        (("properties", "osType"), "Windows", "InvalidOsType"),
        (("properties", "restartPolicy"), "Sometimes", "InvalidRestartPolicy"),
        (("properties", "priority"), "Spot", "InvalidPriority"),
        (("properties", "confidentialComputeProperties"), {}, "InvalidCcePolicy"),
        (("properties", "confidentialComputeProperties"), {"ccePolicy": ""}, "InvalidCcePolicy"),
        (("properties", "confidentialComputeProperties"), {"ccePolicy": "no base64!"}, "InvalidCcePolicy"),
        (("properties", "containers"), [], "InvalidContainerCount"),
        (("properties", "containers"), "app", "InvalidRequestContent"),
        (("properties", "containers", 0, "name"), "App", "InvalidContainerName"),
        ((*APP, "image"), "", "MissingImageName"),
        ((*APP, "environmentVariables"), [{"name": "A-B", "value": ""}], "InvalidEnvironmentVariableName"),
        (
            (*APP, "environmentVariables"),
            [{"name": "A", "value": "x", "secureValue": "y"}],
            "InvalidEnvironmentVariable",
        ),
        ((*APP, "volumeMounts"), [{"name": "absent", "mountPath": "/x"}], "VolumeNotFound"),
        ((*APP, "livenessProbe"), {"tcpSocket": {"port": 1}}, "InvalidProbe"),
        ((*APP, "resources"), {"requests": {"cpu": 1}}, "ResourceRequests"),
        ((*APP, "resources", "requests"), {"cpu": 0.5, "memoryInGB": 2}, "ResourceRequestsTooSmall"),
        ((*APP, "resources", "requests"), {"cpu": 32, "memoryInGB": 2}, "ResourceRequestsTooLarge"),
        ((*APP, "resources", "limits"), {"cpu": 2}, "ContainerLimitGreaterThanContainerGroupTotalRequest"),
        ((*APP, "ports"), [{"port": 22}], "ReservedPort"),
        ((*APP, "ports"), [{"port": 0}], "InvalidPort"),
        ((*APP, "ports"), [{"port": 80}, {"port": 80}], "DuplicatePort"),
        (("properties", "volumes"), [{"name": "v", "emptyDir": {}}], "InvalidVolumeName"),
        (("properties", "volumes"), [{"name": "data--1", "emptyDir": {}}], "InvalidVolumeName"),
        (("properties", "volumes"), [{"name": "data1"}], "InvalidVolume"),
        (("properties", "ipAddress"), {"dnsNameLabel": "a_b_c", "ports": []}, "InvalidDnsNameLabel"),
        (("properties", "ipAddress"), {"ports": [{"port": n} for n in range(80, 86)]}, "TooManyPorts"),
        (
            ("properties", "imageRegistryCredentials"),
            [{"server": "r", "identity": "/other"}],
            "InvalidImageRegistryIdentity",
        ),
        (
            ("properties", "initContainers"),
            [{"name": "init", "properties": {"image": "i", "ports": [{"port": 80}]}}],
            "InvalidInitContainer",
        ),
        (
            ("properties", "initContainers"),
            [{"name": "app", "properties": {"image": "i"}}],
            "DuplicateContainerName",
        ),
    ],
)
def test_a_body_that_breaks_a_rule_is_refused_with_its_code(path, value, code):
    with pytest.raises(ServiceError) as caught:
        validate("one", changed(path, value))
    assert (caught.value.status, caught.value.code) == (400, code)


def test_a_public_address_does_not_go_with_a_subnet():
    body = changed(("properties", "ipAddress"), {"type": "Public", "ports": [{"port": 80}]})
    body["properties"]["subnetIds"] = [{"id": "/subnet"}]
    with pytest.raises(ServiceError, match="subnet"):
        validate("one", body)


@pytest.mark.parametrize("name", ["", "Upper", "-front", "end-", "a" * 64, "dot.ted"])
def test_a_group_name_has_to_keep_the_rules(name):
    with pytest.raises(ServiceError, match="name"):
        validate(name, BODY)


def test_the_example_body_passes():
    validate("one", BODY)
    validate("a" * 63, BODY | {"location": "West Europe"})


def test_standard_groups_are_told_what_the_sandbox_runs():
    with pytest.raises(ServiceError, match="Confidential container groups only"):
        validate("one", changed(("properties", "sku"), "Standard"))
