"""A container group in the sandbox runs what was measured, and refuses everything else for the policy's reason."""

import asyncio
import base64
import copy
import os
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from azure_sandbox.attester import Attester
from azure_sandbox.built_programs import MODULE
from azure_sandbox.golang import build
from azure_sandbox.guest import create_guest
from azure_sandbox.guest.api import Denied, GroupNetwork, Guest, ImageInaccessible, ImagePullFailed, InitContainerFailed
from azure_sandbox.guest.group import GroupGuest
from confidential_summarizer.measurement.cache import MemoryCache
from confidential_summarizer.measurement.image import Measurer
from confidential_summarizer.policy.container_group import container_group_policy
from confidential_summarizer.policy.denial import find_denial
from confidential_summarizer.policy.settings import PolicySettings
from confidential_summarizer.policy.virtual_node import virtual_node_policy
from confidential_summarizer.registry import RegistryClient
from tests.support.guest_images import base_layer, layer, push, registry, replace_blob

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and mounts need root")]

Group = dict[str, Any]

PAGE = "#!/bin/sh\necho hello > /www/index.html\nexec httpd -f -p 8501 -h /www\n"
ADDRESS = "127.77.200.1"
SECONDS = 20.0


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """The guest's judge and its measurer, as `csum sandbox up` builds them."""
    build(MODULE, dict(os.environ), print)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[str]:
    with registry(folder) as address:
        yield address


@pytest.fixture(scope="module")
def image(host: str) -> str:
    tars = [base_layer(), layer({"start.sh": PAGE.encode(), "www/readme": b""})]
    # A container's first process does not die of TERM by itself; KILL spares the tests the wait.
    config = {
        "Cmd": ["/start.sh"],
        "Env": ["PATH=/bin", "GREETING=hello"],
        "WorkingDir": "/www",
        "StopSignal": "SIGKILL",
    }
    return push(host, "tiny", tars, config)


def container(image: str, name: str = "page", **changes: Any) -> dict[str, Any]:
    properties = {
        "image": image,
        "environmentVariables": [{"name": "NAME", "value": "world"}],
        "resources": {"requests": {"cpu": 1, "memoryInGB": 1}},
        "volumeMounts": [{"name": "scratch", "mountPath": "/mnt/scratch"}],
    }
    return {"name": name, "properties": properties | changes}


def group_of(*containers: dict[str, Any], restart: str = "Never", **properties: Any) -> Group:
    return {
        "name": "tiny",
        "location": "westeurope",
        "properties": {
            "sku": "Confidential",
            "osType": "Linux",
            "restartPolicy": restart,
            "confidentialComputeProperties": {"ccePolicy": ""},
            "volumes": [{"name": "scratch", "emptyDir": {}}],
            "containers": list(containers),
            **properties,
        },
    }


async def with_policy(group: Group, **settings: Any) -> Group:
    """Return the group with the policy that was made from it."""
    everyone = [*group["properties"]["containers"], *group["properties"].get("initContainers", ())]
    async with RegistryClient(loopback=True) as client:
        references = {one["properties"]["image"] for one in everyone}
        images = {reference: await Measurer(MemoryCache()).measure(client, reference) for reference in references}
    return sealed(group, container_group_policy(group, images, PolicySettings(**settings)).base64)


def sealed(group: Group, policy: str) -> Group:
    group = copy.deepcopy(group)
    group["properties"]["confidentialComputeProperties"]["ccePolicy"] = policy
    return group


def shell(image: str, script: str, **changes: Any) -> dict[str, Any]:
    return container(image, command=["/bin/sh", "-c", script], **changes)


@asynccontextmanager
async def guest_of(group: Group, folder: Path) -> AsyncIterator[Guest]:
    (folder / "run").mkdir(exist_ok=True)
    (folder / "authorities.pem").write_text("the sandbox's authority\n")
    sockets = (folder / "run" / "a.tls", folder / "run" / "a.imds")
    network = GroupNetwork(ADDRESS, *sockets, ("azure.net",), folder / "authorities.pem")
    guest = create_guest(group, folder / "group", network, Attester(folder / "attester"))
    try:
        yield guest
    finally:
        await guest.stop()


def properties(group: Group) -> dict[str, Any]:
    return group["properties"]["containers"][0]["properties"]


def names_of_events(guest: Guest) -> list[str]:
    return [event.name for event in guest.observe().containers[0].events]


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.02)


def files_below(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


async def output(group: Group, folder: Path) -> str:
    """Start a group whose first container ends by itself, and return what it printed."""
    async with guest_of(group, folder) as guest:
        await guest.start()
        await until(lambda: guest.observe().containers[0].current_state.state == "Terminated")
        return guest.logs(group["properties"]["containers"][0]["name"], None)


async def page(port: int = 8501) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def read() -> str:
        with opener.open(f"http://{ADDRESS}:{port}/index.html", timeout=5) as response:
            return response.read().decode()

    async with asyncio.timeout(SECONDS):
        while True:
            try:
                return await asyncio.to_thread(read)
            except OSError:
                await asyncio.sleep(0.05)


# What runs


async def test_what_was_measured_runs_and_can_be_reached(image: str, tmp_path: Path) -> None:
    group = group_of(container(image, ports=[{"port": 8501, "protocol": "TCP"}]))
    async with guest_of(await with_policy(group), tmp_path) as guest:
        await guest.start()
        assert await page() == "hello\n"
        assert guest.observe().state == "Running"
        assert names_of_events(guest) == ["Pulling", "Pulled", "Created", "Started"]


async def test_a_container_trusts_the_sandbox_where_images_keep_whom_they_trust(image: str, tmp_path: Path) -> None:
    path = "/etc/ssl/certs/ca-certificates.crt"
    group = group_of(shell(image, f"cat {path}; echo x > {path} || echo read-only"))
    printed = await output(await with_policy(group), tmp_path)
    assert printed.splitlines()[0] == "the sandbox's authority"
    assert printed.splitlines()[-1] == "read-only"


async def test_a_virtual_node_s_pod_runs_with_the_policy_of_its_kind(image: str, tmp_path: Path) -> None:
    pod = {
        "metadata": {"name": "web-0", "namespace": "legal"},
        "spec": {
            "volumes": [{"name": "scratch", "emptyDir": {}}],
            "containers": [
                {
                    "name": "page",
                    "image": image,
                    "command": ["/bin/sh", "-c"],
                    "args": ["cat /etc/hostname; echo $HOSTNAME; nslookup web-0"],
                    "volumeMounts": [{"name": "scratch", "mountPath": "/mnt/scratch"}],
                }
            ],
        },
    }
    async with RegistryClient(loopback=True) as client:
        images = {image: await Measurer(MemoryCache()).measure(client, image)}
    policy = virtual_node_policy(pod, images, PolicySettings())
    command = ["/bin/sh", "-c", "cat /etc/hostname; echo $HOSTNAME; nslookup web-0"]
    group = group_of(container(image, command=command, environmentVariables=[]))
    group["tags"] = {"PodName": "web-0", "NodeName": "virtualnode-0"}
    printed = await output(sealed(group, policy.base64), tmp_path)
    assert printed.splitlines()[:2] == ["web-0", "web-0"]


async def test_a_group_of_resource_manager_knows_localhost_and_its_own_name(image: str, tmp_path: Path) -> None:
    script = "cat /etc/hosts /etc/hostname; ls /dev"
    group = await with_policy(group_of(shell(image, script)))
    printed = (await output(group, tmp_path)).splitlines()
    assert printed[:3] == ["127.0.0.1 localhost", f"{ADDRESS} tiny", "tiny"]
    assert "termination-log" not in printed


async def test_a_pod_with_arguments_alone_runs_the_image_s_entrypoint(host: str, tmp_path: Path) -> None:
    echo = push(host, "echo", [base_layer()], {"Entrypoint": ["/bin/sh", "-c", "echo $0 $1"], "Cmd": ["x"]})
    pod = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "page", "image": echo, "args": ["a", "b"]}]}}
    async with RegistryClient(loopback=True) as client:
        policy = virtual_node_policy(pod, {echo: await Measurer(MemoryCache()).measure(client, echo)}, PolicySettings())
    group = group_of(container(echo, args=["a", "b"], environmentVariables=[], volumeMounts=[]))
    group["tags"] = {"NodeName": "virtualnode-0"}
    assert await output(sealed(group, policy.base64), tmp_path) == "a b\n"


async def test_the_container_sees_its_variables_and_nothing_of_the_host(image: str, tmp_path: Path) -> None:
    group = await with_policy(group_of(shell(image, "env; ls /; ls /proc | grep -c '^[0-9]*$'")))
    printed = (await output(group, tmp_path)).splitlines()
    variables = dict(line.split("=", 1) for line in printed if "=" in line)
    assert {"PATH": "/bin", "GREETING": "hello", "NAME": "world", "HOSTNAME": "tiny"}.items() <= variables.items()
    assert set(variables) - {"PWD", "SHLVL", "OLDPWD"} == {
        "PATH", "GREETING", "NAME", "HOSTNAME", "UVM_SECURITY_CONTEXT_DIR",
    }  # fmt: skip
    listed = {line for line in printed if "=" not in line and not line.isdigit()}
    context = variables["UVM_SECURITY_CONTEXT_DIR"].strip("/")
    assert listed == {"bin", "dev", "etc", "mnt", "proc", "start.sh", "tmp", "www", context} | (
        {name for name in listed if name.startswith("lib")}
    )


async def test_a_container_s_root_has_the_rights_of_its_policy_whatever_the_host_asks_for(
    image: str, tmp_path: Path
) -> None:
    rights = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"], "add": ["CAP_SETGID", "CAP_SETUID"]}}
    group = await with_policy(group_of(shell(image, "cat /proc/self/status", securityContext=rights)))
    properties(group)["securityContext"]["capabilities"] = {"add": ["CAP_SYS_PTRACE"]}
    status = dict(line.split(":\t", 1) for line in (await output(group, tmp_path)).splitlines())
    setgid_and_setuid = f"{1 << 6 | 1 << 7:016x}"
    assert (status["Uid"], status["CapPrm"], status["CapEff"], status["NoNewPrivs"]) == (
        "0\t0\t0\t0", setgid_and_setuid, setgid_and_setuid, "1",
    )  # fmt: skip


async def test_the_image_s_user_runs_the_container(host: str, tmp_path: Path) -> None:
    config = {"Cmd": ["/bin/id"], "User": "app", "Env": ["PATH=/bin"]}
    user = push(host, "user", [base_layer()], config)
    printed = await output(await with_policy(group_of(container(user))), tmp_path)
    assert printed.startswith("uid=1000(app) gid=1001(staff)")


async def test_a_user_given_by_number_runs_the_container(image: str, tmp_path: Path) -> None:
    context = {"runAsUser": 1000, "runAsGroup": 1002}
    group = group_of(container(image, command=["/bin/id"], securityContext=context))
    printed = await output(await with_policy(group), tmp_path)
    assert printed.startswith("uid=1000(app) gid=1002(other)")


async def test_containers_share_a_volume_with_links_and_folders_that_appear_later(image: str, tmp_path: Path) -> None:
    script = (
        "sleep 0.3; mkdir /mnt/scratch/.filesystem-0; echo text > /mnt/scratch/.filesystem-0/a; "
        "ln -s .filesystem-0 /mnt/scratch/share; sleep 60"
    )
    reader = shell(
        image,
        "while ! [ -e /mnt/data/share ]; do sleep 0.05; done; cat /mnt/data/share/a; echo x 2>&1 > /mnt/data/share/a",
        volumeMounts=[{"name": "scratch", "mountPath": "/mnt/data", "readOnly": True}],
    )
    writer = shell(image, script, securityContext={"privileged": True})
    writer["name"] = "writer"
    group = group_of(reader, writer)
    printed = await output(await with_policy(group), tmp_path)
    assert printed.startswith("text\n")
    assert "Read-only file system" in printed


async def test_a_secret_volume_holds_the_group_s_files(image: str, tmp_path: Path) -> None:
    mount = {"name": "keys-", "mountPath": "/keys", "readOnly": True}
    group = group_of(
        shell(image, "cat /keys/token", volumeMounts=[mount]),
        volumes=[{"name": "keys-", "secret": {"token": base64.b64encode(b"content").decode()}}],
    )
    assert await output(await with_policy(group), tmp_path) == "content"


async def test_a_file_of_a_lower_layer_can_be_hidden_by_the_layer_above(host: str, tmp_path: Path) -> None:
    lower = layer({"gone": b"", "emptied/a": b"", "emptied/b": b"", "kept/a": b""})
    upper = layer({".wh.gone": b"", "emptied/.wh..wh..opq": b"", "emptied/c": b"", "kept/b": b""})
    hidden = push(host, "hidden", [base_layer(), lower, upper], {"Env": ["PATH=/bin"]})
    printed = await output(await with_policy(group_of(shell(hidden, "ls /gone; ls /emptied /kept"))), tmp_path)
    assert printed.splitlines() == ["ls: /gone: No such file or directory", "/emptied:", "c", "", "/kept:", "a", "b"]


async def test_a_link_of_the_image_leads_nowhere_on_the_host(host: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    links = layer({"etc/resolv.conf": str(outside / "made"), "mnt": str(outside)})
    hostile = push(host, "hostile", [base_layer(), links], {"Env": ["PATH=/bin"]})
    printed = await output(
        await with_policy(group_of(shell(hostile, "cat /etc/resolv.conf; ls -d /mnt/scratch"))), tmp_path
    )
    assert printed.splitlines() == ["nameserver 127.0.0.1", "/mnt/scratch"]
    assert list(outside.iterdir()) == []


# What is refused

REFUSALS: dict[str, tuple[Callable[[dict[str, Any]], Any], dict[str, Any], str]] = {
    "another command": (lambda c: c.update(command=["/bin/sh"]), {}, "invalid command"),
    "an extra mount": (
        lambda c: c["volumeMounts"].append({"name": "scratch", "mountPath": "/extra"}),
        {},
        "invalid mount list: /extra",
    ),
    "a volume that can be written": (
        lambda c: c["volumeMounts"][0].update(readOnly=True),
        {},
        "invalid mount list: /mnt/scratch",
    ),
    "privileged mode": (
        lambda c: c.update(securityContext={"privileged": True}),
        {},
        "privileged escalation not allowed",
    ),
    "new privileges": (
        lambda c: c["securityContext"].pop("allowPrivilegeEscalation"),
        {},
        "invalid noNewPrivileges",
    ),
    "too few capabilities": (
        lambda c: c["securityContext"].update(capabilities={"drop": ["CAP_SETUID"]}),
        {},
        "capabilities don't match",
    ),
    "a further variable": (
        lambda c: c["environmentVariables"].append({"name": "EXTRA", "value": "x"}),
        {"drop_unknown_environment": False},
        "invalid env list: EXTRA",
    ),
    "another value of a variable": (
        lambda c: c["environmentVariables"][0].update(value="mars"),
        {"drop_unknown_environment": False},
        "invalid env list: NAME",
    ),
    "no value for a required variable": (
        lambda c: c["environmentVariables"].clear(),
        {"require_environment": True},
        "missing required environment variable",
    ),
}


async def refusal(group: Group, folder: Path) -> tuple[str, tuple[str, ...]]:
    """Start a group that is refused; return the rule and the reasons, as the world outside can read them."""
    async with guest_of(group, folder) as guest:
        with pytest.raises(Denied) as refused:
            await guest.start()
        view = guest.observe()
    denial = find_denial(str(refused.value))
    assert denial is not None
    first = view.containers[0]
    assert (view.state, first.current_state.state) == ("Pending", "Waiting")
    assert first.current_state.detail_status == "CrashLoopBackOff"
    assert first.events[-1].name == "Failed"
    assert str(refused.value) in first.events[-1].message
    assert "Started" not in [event.name for event in first.events]
    return denial.rule, denial.errors


@pytest.mark.parametrize("name", list(REFUSALS))
async def test_a_change_after_the_policy_was_made_is_refused_before_anything_starts(
    name: str, image: str, tmp_path: Path
) -> None:
    change, settings, error = REFUSALS[name]
    group = await with_policy(
        group_of(container(image, securityContext={"allowPrivilegeEscalation": False})), **settings
    )
    change(properties(group))
    rule, errors = await refusal(group, tmp_path)
    assert rule in {"create_container", ""}  # a long refusal is cut, and the rule goes first
    assert error in errors


async def test_another_user_than_the_policy_s_is_refused(image: str, tmp_path: Path) -> None:
    group = await with_policy(group_of(container(image, securityContext={"runAsUser": 1000})))
    properties(group)["securityContext"] = {"runAsUser": 0}
    assert await refusal(group, tmp_path) == ("create_container", ("invalid user",))


async def test_another_image_layer_is_refused(host: str, image: str, tmp_path: Path) -> None:
    other = push(host, "other", [base_layer(), layer({"start.sh": b"#!/bin/sh\nid\n"})], {})
    group = await with_policy(group_of(container(image)))
    properties(group)["image"] = other
    assert await refusal(group, tmp_path) == ("mount_device", ("deviceHash not found",))


async def test_known_layers_in_another_order_are_refused(host: str, tmp_path: Path) -> None:
    layers = [base_layer(), layer({"a": b"1"}), layer({"a": b"2"})]
    straight = push(host, "straight", layers, {"Cmd": ["/bin/cat", "/a"]})
    twisted = push(host, "twisted", [layers[0], layers[2], layers[1]], {"Cmd": ["/bin/cat", "/a"]})
    group = await with_policy(group_of(container(straight)))
    properties(group)["image"] = twisted
    assert await refusal(group, tmp_path) == ("mount_overlay", ("no matching containers for overlay",))


async def test_one_refused_container_keeps_the_whole_group_from_running(image: str, tmp_path: Path) -> None:
    first, second = shell(image, "sleep 60"), shell(image, "sleep 60")
    second["name"] = "second"
    group = await with_policy(group_of(first, second))
    group["properties"]["containers"][1]["properties"]["command"] = ["/bin/env"]
    async with guest_of(group, tmp_path) as guest:
        with pytest.raises(Denied):
            await guest.start()
        assert [one.current_state.state for one in guest.observe().containers] == ["Waiting", "Waiting"]
        assert "Started" not in names_of_events(guest)


async def test_a_variable_that_the_policy_does_not_know_never_reaches_the_container(image: str, tmp_path: Path) -> None:
    group = await with_policy(group_of(container(image, command=["/bin/env"])))
    properties(group)["environmentVariables"].append({"name": "LD_PRELOAD", "value": "/evil.so"})
    printed = await output(group, tmp_path)
    assert "LD_PRELOAD" not in printed
    assert "NAME=world" in printed


async def test_a_policy_that_does_not_parse_starts_nothing(image: str, tmp_path: Path) -> None:
    group = sealed(group_of(container(image)), base64.b64encode(b"package policy\nmount_device :=").decode())
    async with guest_of(group, tmp_path) as guest:
        with pytest.raises(Denied, match="Security policy is not valid"):
            await guest.start()


async def test_a_layer_changed_in_the_registry_is_not_unpacked(host: str, folder: Path, tmp_path: Path) -> None:
    changed = push(host, "changed", [base_layer(), layer({"a": b"good"})], {"Cmd": ["/bin/cat", "/a"]})
    group = await with_policy(group_of(container(changed)))
    async with RegistryClient(loopback=True) as client:
        digest = (await client.resolve(changed)).layers[1].digest
    replace_blob(folder, digest, layer({"a": b"evil"}))
    async with guest_of(group, tmp_path) as guest:
        with pytest.raises(ImagePullFailed, match="other bytes"):
            await guest.start()
        assert names_of_events(guest)[-1] == "Failed"


async def test_an_image_that_is_not_there_fails_with_an_event(image: str, host: str, tmp_path: Path) -> None:
    group = await with_policy(group_of(container(image)))
    properties(group)["image"] = f"{host}/nothing:latest"
    async with guest_of(group, tmp_path) as guest:
        with pytest.raises(ImageInaccessible, match="nothing"):
            await guest.check_images()
        with pytest.raises(ImagePullFailed, match="nothing:latest"):
            await guest.start()
        assert names_of_events(guest) == ["Pulling", "Failed"]


# What its containers know of it


def first_process(guest: Guest, name: str = "page") -> int:
    """The container's first process, as the host counts."""
    assert isinstance(guest, GroupGuest)
    started = guest._containers[name]._started
    assert started is not None
    assert started.first is not None
    return started.first


async def test_the_security_context_has_the_policy_and_cannot_be_changed(image: str, tmp_path: Path) -> None:
    script = "cat $UVM_SECURITY_CONTEXT_DIR/security-policy-base64; echo x > $UVM_SECURITY_CONTEXT_DIR/a"
    group = await with_policy(group_of(shell(image, script)))
    printed = await output(group, tmp_path)
    assert printed.startswith(group["properties"]["confidentialComputeProperties"]["ccePolicy"])
    assert "Read-only file system" in printed


async def test_names_of_azure_lead_to_the_group_s_own_line(image: str, tmp_path: Path) -> None:
    """Both ways out: TLS by port 443 of any known name, and the metadata service for this group."""
    taken: list[tuple[str, bytes]] = []

    def take(name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            taken.append((name, await reader.readline()))
            writer.write(b"HTTP/1.0 200 OK\r\n\r\nanswer")
            writer.close()

        return answer

    script = (
        "wget -q -O - http://169.254.169.254/metadata; echo; wget -q -O - http://x.azure.net:443/; nslookup a.example"
    )
    group = await with_policy(group_of(shell(image, script)))
    async with guest_of(group, tmp_path) as guest:
        services = await asyncio.start_unix_server(take("services"), tmp_path / "run" / "a.tls")
        metadata = await asyncio.start_unix_server(take("metadata"), tmp_path / "run" / "a.imds")
        async with services, metadata:
            await guest.start()
            await until(lambda: guest.observe().containers[0].current_state.state == "Terminated")
        printed = guest.logs("page", None)
    assert taken == [("metadata", b"GET /metadata HTTP/1.1\r\n"), ("services", b"GET / HTTP/1.1\r\n")]
    assert printed.startswith("answer\nanswer")
    assert "can't find a.example" in printed


async def test_what_listens_on_localhost_alone_cannot_be_reached_from_outside(image: str, tmp_path: Path) -> None:
    ports = [{"port": 8501}, {"port": 8502}]
    script = "httpd -p 127.0.0.1:8502 -h /www; echo hello > index.html; httpd -f -p 8501 -h /www"
    async with guest_of(await with_policy(group_of(shell(image, script, ports=ports))), tmp_path) as guest:
        await guest.start()
        assert await page() == "hello\n"
        reader, writer = await asyncio.open_connection(ADDRESS, 8502)
        writer.write(b"GET /index.html HTTP/1.0\r\n\r\n")
        assert await reader.read() == b""
        writer.close()


# Its life


async def test_without_stdio_access_nobody_sees_the_output(image: str, tmp_path: Path) -> None:
    group = group_of(container(image, command=["/bin/env"]))
    printed = await output(await with_policy(group, allow_stdio_access=False), tmp_path)
    assert "does not allow access" in printed
    assert "GREETING" not in printed
    assert files_below(tmp_path / "group") == []


async def test_the_newest_lines_of_the_output_are_given(image: str, tmp_path: Path) -> None:
    async with guest_of(await with_policy(group_of(shell(image, "echo a; echo b; echo c"))), tmp_path) as guest:
        assert guest.logs("page", None) == ""
        await guest.start()
        await until(lambda: guest.observe().state == "Succeeded")
        assert guest.logs("page", 2) == "b\nc\n"
        with pytest.raises(KeyError):
            guest.logs("other", None)


@pytest.mark.parametrize(
    ("restart", "code", "state"),
    [("Never", 0, "Succeeded"), ("Never", 3, "Failed"), ("OnFailure", 0, "Succeeded")],
)
async def test_a_container_that_is_not_started_again_decides_the_group_s_state(
    restart: str, code: int, state: str, image: str, tmp_path: Path
) -> None:
    group = await with_policy(group_of(shell(image, f"exit {code}"), restart=restart))
    async with guest_of(group, tmp_path) as guest:
        await guest.start()
        await until(lambda: guest.observe().containers[0].current_state.state == "Terminated")
        view = guest.observe()
    assert view.state == state
    assert view.containers[0].current_state.exit_code == code


async def test_a_container_that_ended_is_started_again_on_a_fresh_file_system_in_the_same_volumes(
    image: str, tmp_path: Path
) -> None:
    script = "ls /made /mnt/scratch/made; echo x > /made; echo x > /mnt/scratch/made; exit 1"
    group = await with_policy(group_of(shell(image, script), restart="OnFailure"))
    async with guest_of(group, tmp_path) as guest:
        await guest.start()
        await until(lambda: guest.logs("page", None).count("\n") >= 4)
        view = guest.observe()
        printed = guest.logs("page", None).splitlines()
    assert printed[:2] == [f"ls: {path}: No such file or directory" for path in ("/made", "/mnt/scratch/made")]
    assert printed[2:] == ["ls: /made: No such file or directory", "/mnt/scratch/made"]
    first = view.containers[0]
    assert first.restart_count == 1
    assert first.previous_state is not None
    assert first.previous_state.exit_code == 1
    assert "BackOff" in [event.name for event in first.events]


async def test_init_containers_end_before_the_others_begin(image: str, tmp_path: Path) -> None:
    first = shell(image, "echo made > /mnt/scratch/a", name="first")
    group = group_of(shell(image, "cat /mnt/scratch/a"), initContainers=[first])
    assert await output(await with_policy(group), tmp_path) == "made\n"


async def test_an_init_container_that_fails_keeps_the_others_from_running(image: str, tmp_path: Path) -> None:
    group = group_of(shell(image, "echo never"), initContainers=[shell(image, "exit 4", name="first")])
    async with guest_of(await with_policy(group), tmp_path) as guest:
        with pytest.raises(InitContainerFailed, match="first ended with exit code 4"):
            await guest.start()
        view = guest.observe()
    assert view.state == "Failed"
    assert view.init_containers[0].current_state.exit_code == 4
    assert view.containers[0].current_state.state == "Waiting"


async def test_stopping_asks_first_and_leaves_nothing_behind(host: str, tmp_path: Path) -> None:
    image = push(host, "polite", [base_layer()], {"Env": ["PATH=/bin"]})
    group = await with_policy(
        group_of(shell(image, "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done"))
    )
    async with guest_of(group, tmp_path) as guest:
        await guest.start()
        await until(lambda: guest.logs("page", None))
        process = first_process(guest)
        await guest.stop()
        view = guest.observe()
        assert guest.logs("page", None) == "up\nbye\n"
    assert view.state == "Stopped"
    assert view.containers[0].current_state.exit_code == 5
    assert "Killing" in [event.name for event in view.containers[0].events]
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert files_below(tmp_path / "group") == ["page"]


async def test_a_restart_keeps_the_volumes_and_counts(image: str, tmp_path: Path) -> None:
    script = "trap 'exit 0' TERM; ls /mnt/scratch; echo x > /mnt/scratch/kept; while :; do sleep 0.05; done"
    group = await with_policy(group_of(shell(image, script), restart="Always"))
    async with guest_of(group, tmp_path) as guest:
        await guest.start()
        await asyncio.sleep(0.3)
        await guest.restart()
        await until(lambda: "kept" in guest.logs("page", None))
        view = guest.observe()
    assert view.state == "Running"
    assert view.containers[0].restart_count == 1


async def test_a_group_that_was_stopped_starts_again(image: str, tmp_path: Path) -> None:
    group = await with_policy(group_of(container(image, ports=[{"port": 8501}])))
    async with guest_of(group, tmp_path) as guest:
        for _ in range(2):
            await guest.start()
            assert await page() == "hello\n"
            await guest.stop()
