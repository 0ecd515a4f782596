"""What Container Instances refuses while it answers a PUT (naming rules, sizes, counts, references)."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from azure_sandbox.azure.errors import ServiceError

LOCATIONS = (
    "centralindia",
    "eastasia",
    "eastus",
    "eastus2",
    "germanywestcentral",
    "italynorth",
    "japaneast",
    "northeurope",
    "southcentralus",
    "southeastasia",
    "switzerlandnorth",
    "uaenorth",
    "westeurope",
    "westus",
    "westus2",
)
"""Regions with Confidential container groups, as the virtual nodes' documentation lists them."""

GROUP_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
ENVIRONMENT_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_]{0,61}[A-Za-z0-9])?|_[A-Za-z0-9_]{0,61}[A-Za-z0-9]")
VOLUME_NAME = re.compile(r"(?!.*--)[a-z0-9]([a-z0-9-]{3,61}[a-z0-9])")
DNS_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{3,61}[A-Za-z0-9])")

MAX_CONTAINERS = 60
MAX_VOLUMES = 20
MAX_PORTS = 5
MAX_CPU = 31
MAX_MEMORY_GB = 180
RESTART_POLICIES = ("Always", "OnFailure", "Never")
VOLUME_KINDS = ("azureFile", "emptyDir", "secret", "gitRepo", "configMap")

RESERVED_PORTS = (
    range(22, 23),
    range(1025, 1028),
    range(3389, 3400),
    range(9999, 10000),
    range(19000, 19001),
    range(19080, 19081),
    range(19100, 19101),
    range(19390, 19391),
    range(20000, 30001),
    range(49152, 65535),
)
"""Ports of the platform; a group cannot listen there."""

Json = Mapping[str, Any]


def validate(name: str, body: Json) -> None:
    """Check the body of a PUT.

    Raises:
        ServiceError: 400 with the service's code; the first fault that is found.
    """
    properties = body.get("properties")
    if not isinstance(properties, Mapping):
        raise _invalid("InvalidRequestContent", "The request content was invalid: 'properties' is missing.")
    _require(GROUP_NAME.fullmatch(name), "InvalidContainerGroupName", _name_rule("container group", name))
    _check_location(body.get("location"))
    _check_sku(properties)
    containers = _objects(properties, "containers")
    _require(0 < len(containers) <= MAX_CONTAINERS, "InvalidContainerCount", "A group has 1 to 60 containers.")
    init_containers = _objects(properties, "initContainers")
    volumes = _check_volumes(_objects(properties, "volumes"))
    names = [_check_container(container, volumes) for container in (*init_containers, *containers)]
    _require(len(set(names)) == len(names), "DuplicateContainerName", "Container names have to differ.")
    for container in init_containers:
        _check_init_container(container)
    _check_resources(containers)
    _check_ports(properties, containers)
    _check_credentials(properties, body.get("identity") or {})


def _check_location(location: object) -> None:
    _require(location, "LocationRequired", "The location property is required for this definition.")
    place = str(location).replace(" ", "").lower()
    text = f"The provided location '{location}' is not available for resource type 'containerGroups'."
    _require(place in LOCATIONS, "LocationNotAvailableForResourceType", text)


def _check_sku(properties: Json) -> None:
    sku = str(properties.get("sku") or "Standard")
    text = f"The sandbox runs Confidential container groups only, not '{sku}': set properties.sku to Confidential."
    _require(sku.lower() == "confidential", "SkuNotSupported", text)
    _require(str(properties.get("osType", "")).lower() == "linux", "InvalidOsType", "osType has to be Linux.")
    policy = properties.get("restartPolicy", "Always")
    _require(policy in RESTART_POLICIES, "InvalidRestartPolicy", f"restartPolicy '{policy}' is not known.")
    _require(properties.get("priority") != "Spot", "InvalidPriority", "Spot is not available for sku Confidential.")
    _check_cce_policy((properties.get("confidentialComputeProperties") or {}).get("ccePolicy"))


def _check_cce_policy(policy: object) -> None:
    _require(policy, "InvalidCcePolicy", "CCE Policy cannot be left empty.")
    try:
        base64.b64decode(str(policy), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise _invalid("InvalidCcePolicy", "The CCE Policy is not base64 of UTF-8 text.") from error


def _check_volumes(volumes: Sequence[Json]) -> set[str]:
    _require(len(volumes) <= MAX_VOLUMES, "TooManyVolumes", f"A group has at most {MAX_VOLUMES} volumes.")
    names = set()
    for volume in volumes:
        name = str(volume.get("name", ""))
        text = f"The volume name '{name}' is invalid: 5 to 63 lower-case letters, digits and single hyphens."
        _require(VOLUME_NAME.fullmatch(name), "InvalidVolumeName", text)
        kinds = [kind for kind in VOLUME_KINDS if volume.get(kind) is not None]
        _require(len(kinds) == 1, "InvalidVolume", f"Volume '{name}' has to be of one kind.")
        names.add(name)
    return names


def _check_container(container: Json, volumes: set[str]) -> str:
    name = str(container.get("name", ""))
    _require(GROUP_NAME.fullmatch(name), "InvalidContainerName", _name_rule("container", name))
    properties = container.get("properties") or {}
    _require(properties.get("image"), "MissingImageName", f"Container '{name}' has no image.")
    for variable in _objects(properties, "environmentVariables"):
        variable_name = str(variable.get("name", ""))
        text = f"The environment variable name '{variable_name}' of container '{name}' is invalid."
        _require(ENVIRONMENT_NAME.fullmatch(variable_name), "InvalidEnvironmentVariableName", text)
        both = variable.get("value") is not None and variable.get("secureValue") is not None
        text = f"Environment variable '{variable_name}' has both value and secureValue."
        _require(not both, "InvalidEnvironmentVariable", text)
    for mount in _objects(properties, "volumeMounts"):
        text = f"Container '{name}' mounts volume '{mount.get('name')}', which the group does not have."
        _require(mount.get("name") in volumes, "VolumeNotFound", text)
        _require(mount.get("mountPath"), "InvalidVolumeMount", f"Container '{name}' mounts without mountPath.")
    for probe in ("livenessProbe", "readinessProbe"):
        _check_probe(name, probe, properties.get(probe))
    return name


def _check_probe(container: str, kind: str, probe: object) -> None:
    if probe is None:
        return
    forms = [form for form in ("exec", "httpGet") if isinstance(probe, Mapping) and probe.get(form) is not None]
    _require(len(forms) == 1, "InvalidProbe", f"{kind} of '{container}' needs either exec or httpGet.")


def _check_init_container(container: Json) -> None:
    properties = container["properties"]
    for field in ("resources", "ports", "livenessProbe", "readinessProbe"):
        text = f"Init container '{container['name']}' cannot have {field}."
        _require(not properties.get(field), "InvalidInitContainer", text)


def _check_resources(containers: Sequence[Json]) -> None:
    requests = []
    for container in containers:
        request = ((container["properties"].get("resources") or {}).get("requests")) or {}
        amounts = (request.get("cpu"), request.get("memoryInGB"))
        text = f"Container '{container['name']}' needs resources.requests with cpu and memoryInGB above 0."
        _require(all(isinstance(amount, int | float) and amount > 0 for amount in amounts), "ResourceRequests", text)
        requests.append(amounts)
    cpu, memory = (sum(amounts) for amounts in zip(*requests, strict=True))
    _require(cpu >= 1 and memory >= 1, "ResourceRequestsTooSmall", "A group requests at least 1 cpu and 1 GB.")
    text = (
        f"A Confidential group has at most {MAX_CPU} cpu and {MAX_MEMORY_GB} GB; this one requests {cpu} and {memory}."
    )
    _require(cpu <= MAX_CPU and memory <= MAX_MEMORY_GB, "ResourceRequestsTooLarge", text)
    for container in containers:
        limit = ((container["properties"].get("resources") or {}).get("limits")) or {}
        within = (limit.get("cpu") or 0) <= cpu and (limit.get("memoryInGB") or 0) <= memory
        text = f"The limits of container '{container['name']}' are above the group's total requests."
        _require(within, "ContainerLimitGreaterThanContainerGroupTotalRequest", text)


def _check_ports(properties: Json, containers: Sequence[Json]) -> None:
    used: set[tuple[int, str]] = set()
    for container in containers:
        for port in _port_keys(_objects(container["properties"], "ports")):
            _require(port not in used, "DuplicatePort", f"Port {port[0]} is used by two containers.")
            used.add(port)
    address = properties.get("ipAddress") or {}
    exposed = list(_port_keys(_objects(address, "ports")))
    _require(len(exposed) <= MAX_PORTS, "TooManyPorts", f"An IP address has at most {MAX_PORTS} ports.")
    label = address.get("dnsNameLabel")
    text = f"The DNS name label '{label}' is invalid: 5 to 63 letters, digits and hyphens."
    _require(label is None or DNS_LABEL.fullmatch(str(label)), "InvalidDnsNameLabel", text)
    public = str(address.get("type", "")).lower() == "public"
    text = "A group in a subnet cannot have a public IP address or a DNS name label."
    _require(not (properties.get("subnetIds") and (public or label)), "InvalidIpAddress", text)


def _port_keys(ports: Iterable[Json]) -> Iterable[tuple[int, str]]:
    for port in ports:
        number = port.get("port")
        valid = isinstance(number, int) and 0 < number < 65536
        _require(valid, "InvalidPort", f"Port '{number}' is not between 1 and 65535.")
        reserved = any(number in span for span in RESERVED_PORTS)
        _require(not reserved, "ReservedPort", f"Port {number} is reserved by the platform.")
        yield int(str(number)), str(port.get("protocol", "TCP")).upper()


def _check_credentials(properties: Json, identity: Json) -> None:
    held = {resource.lower() for resource in identity.get("userAssignedIdentities") or {}}
    for credential in _objects(properties, "imageRegistryCredentials"):
        named = credential.get("identity")
        text = f"The identity '{named}' for registry '{credential.get('server')}' is not an identity of the group."
        _require(named is None or str(named).lower() in held, "InvalidImageRegistryIdentity", text)


def _objects(parent: Json, field: str) -> Sequence[Json]:
    children = parent.get(field) or []
    well_formed = isinstance(children, list) and all(isinstance(child, Mapping) for child in children)
    _require(well_formed, "InvalidRequestContent", f"The request content was invalid: '{field}' is no list of objects.")
    return children


def _require(condition: object, code: str, message: str) -> None:
    if not condition:
        raise _invalid(code, message)


def _invalid(code: str, message: str) -> ServiceError:
    return ServiceError(400, code, message)


def _name_rule(kind: str, name: str) -> str:
    return (
        f"The {kind} name '{name}' is invalid: 1 to 63 lower-case letters, digits and hyphens, no hyphen at the ends."
    )
