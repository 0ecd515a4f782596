"""The command line of a container: what the policy allowed, and nothing that others on the host could read."""

from pathlib import Path

from azure_sandbox.attester import Attester
from azure_sandbox.guest.process import Process
from azure_sandbox.guest.root_file_system import Bind, RootFileSystem
from azure_sandbox.guest.secure_processor import SecureProcessor
from confidential_summarizer.policy.capabilities import PRIVILEGED, UNPRIVILEGED

PROCESSOR = SecureProcessor(Attester(Path("/nowhere")), bytes(32), debuggable=False)
ROOT = RootFileSystem(
    Path("/media/containers/page/1"),
    Path("/media/containers/page/1/root"),
    {"/data": "/real/data", "/www": "/srv/www"},
    "",
    "",
)


def process(uid: int = 0, capabilities: tuple[str, ...] = UNPRIVILEGED) -> Process:
    return Process(
        hostname="host",
        command=("/app", "--flag"),
        environment=("A=b=c", "TOKEN=planted"),
        working_dir="/www",
        uid=uid,
        gid=5,
        capabilities=capabilities,
        binds=(Bind(Path("/media/volumes/data"), "/data"), Bind(Path("/media/context"), "/context", read_only=True)),
        stop_signal=15,
        output=None,
        processor=PROCESSOR,
    )


def words(one: Process) -> list[str]:
    return one.arguments(ROOT).decode().split("\0")[:-1]


def after(one: Process, option: str, count: int = 1) -> list[list[str]]:
    found = words(one)
    return [found[index + 1 : index + 1 + count] for index, word in enumerate(found) if word == option]


def test_variables_are_not_on_the_command_line_but_in_the_arguments() -> None:
    line = process().command_line(3, 4)
    assert line == ["bwrap", "--args", "3", "--info-fd", "4", "--", "/app", "--flag"]
    assert "planted" not in repr(process())
    assert after(process(), "--setenv", 2) == [["A", "b=c"], ["TOKEN", "planted"]]
    assert "--clearenv" in words(process())


def test_mounts_go_to_where_the_image_s_links_lead() -> None:
    assert ["/media/volumes/data", "/real/data"] in after(process(), "--bind", 2)
    assert after(process(), "--ro-bind", 2) == [["/media/context", "/context"]]
    assert after(process(), "--chdir") == [["/srv/www"]]


def test_another_user_than_root_is_taken_on_before_bubblewrap() -> None:
    assert process(uid=1000).command_line(3, 4)[:5] == [
        "setpriv", "--reuid=1000", "--regid=5", "--clear-groups", "--",
    ]  # fmt: skip
    assert after(process(uid=1000), "--cap-add") == []


def test_a_privileged_container_gets_no_more_of_this_machine_than_others() -> None:
    assert {name for (name,) in after(process(capabilities=PRIVILEGED), "--cap-add")} == set(UNPRIVILEGED)
    assert after(process(capabilities=("CAP_CHOWN",)), "--cap-add") == [["CAP_CHOWN"]]
    assert after(process(), "--cap-drop") == [["ALL"]]


def test_only_what_bubblewrap_does_not_make_itself_has_to_be_on_the_image() -> None:
    assert not Bind(Path("/x"), "/dev/sev-guest").on_image
    assert not Bind(Path("/x"), "/proc/x").on_image
    assert Bind(Path("/x"), "/device").on_image
