import base64
import multiprocessing
import os
import re
import socket
from pathlib import Path

from azure_sandbox.state import PORT_RANGE, SERVICES, SandboxState, cache_directory, free_port, is_free


def _key_and_ports(home):
    state = SandboxState(Path(home))
    return state.blob_key(), dict(state.ports())


def test_the_home_comes_from_its_own_variable_then_from_xdg_then_from_the_users_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("CSUM_SANDBOX_HOME", raising=False)
    assert SandboxState.from_environment().home == tmp_path / ".local/state/confidential-summarizer/sandbox"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert SandboxState.from_environment().home == tmp_path / "xdg/confidential-summarizer/sandbox"
    monkeypatch.setenv("CSUM_SANDBOX_HOME", str(tmp_path / "own"))
    assert SandboxState.from_environment().home == tmp_path / "own"


def test_the_cache_is_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "confidential-summarizer"


def test_ports_are_chosen_once_and_differ(tmp_path):
    ports = SandboxState(tmp_path).ports()
    assert set(ports) == set(SERVICES)
    assert len(set(ports.values())) == len(SERVICES)
    assert all(port in PORT_RANGE for port in ports.values())
    assert SandboxState(tmp_path).ports() == ports


def test_processes_that_come_at_the_same_time_see_the_same_ports_and_key(tmp_path):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        seen = pool.map(_key_and_ports, [str(tmp_path)] * 8)
    assert all(one == seen[0] for one in seen)


def test_a_moved_port_stays_moved_and_leaves_the_others(tmp_path):
    state = SandboxState(tmp_path)
    before = dict(state.ports())
    moved = state.move_port("proxy")
    assert moved not in before.values()
    assert SandboxState(tmp_path).ports() == {**before, "proxy": moved}


def test_a_port_in_use_is_not_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])
    port = free_port(taken=range(PORT_RANGE.start, PORT_RANGE.stop - 100))
    assert port >= PORT_RANGE.stop - 100


def test_the_blob_key_is_a_storage_account_key_for_the_owners_eyes_only(tmp_path):
    state = SandboxState(tmp_path)
    key = state.blob_key()
    assert len(base64.b64decode(key, validate=True)) == 64
    assert state.blob_key() == key
    assert (state.blobs / "account.key").stat().st_mode & 0o777 == 0o600


def test_the_home_is_closed_to_other_users(tmp_path):
    state = SandboxState(tmp_path / "home")
    state.prepare()
    assert state.home.stat().st_mode & 0o777 == 0o700
    assert all(folder.is_dir() for folder in (state.ca, state.logs, state.run, state.groups))


def test_downloads_do_not_go_through_the_sandboxs_own_proxy(tmp_path, monkeypatch):
    state = SandboxState(tmp_path)
    for name, value in state.client_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTTP_PROXY", "http://the-real-one:3128")
    outside = state.outside_environment()
    assert not {"HTTPS_PROXY", "SSL_CERT_FILE"} & set(outside)
    assert outside["HTTP_PROXY"] == "http://the-real-one:3128"
    assert outside["PATH"] == os.environ["PATH"]


def test_somebody_elses_proxy_is_kept_for_downloads(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://the-real-one:3128")
    assert SandboxState(tmp_path).outside_environment()["HTTPS_PROXY"] == "http://the-real-one:3128"


def test_clients_are_sent_to_the_proxy_of_this_machine(tmp_path):
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", SandboxState(tmp_path).client_environment()["HTTPS_PROXY"])
