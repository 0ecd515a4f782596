import socket

import pytest

from azure_sandbox import lifecycle
from azure_sandbox.lifecycle import PORT_OWNERS, StandIns
from azure_sandbox.programs import find_program, run_program
from azure_sandbox.state import SERVICES, SandboxState
from confidential_summarizer.errors import SpecError, TransientError


@pytest.fixture
def state(tmp_path):
    state = SandboxState(tmp_path / "home")
    state.prepare()
    return state


def test_every_port_of_a_process_is_a_kept_one():
    assert set(PORT_OWNERS) <= set(SERVICES)


def test_a_sandbox_that_was_never_started_is_stopped_and_stopping_it_is_harmless(tmp_path):
    state = SandboxState(tmp_path / "home")
    lifecycle.down(state, print)
    assert not lifecycle.is_up(state)
    assert not state.home.exists()
    assert {process.condition for process in lifecycle.status(state)} == {"stopped"}


def test_a_process_that_died_shows_as_such(state):
    (state.run / "etcd.pid").write_text('{"pid": 4194304, "start_ticks": 1, "boot": "b"}')
    conditions = {process.name: process.condition for process in lifecycle.status(state)}
    assert conditions["etcd"] == "died"
    assert conditions["kube-apiserver"] == "stopped"


def test_a_port_that_a_stranger_took_is_replaced_and_the_others_stay(state):
    before = dict(state.ports())
    told = []
    with socket.create_server(("127.0.0.1", before["registry"])):
        lifecycle._free_ports(state, told.append)
    after = state.ports()
    assert after["registry"] != before["registry"]
    assert {**after, "registry": 0} == {**before, "registry": 0}
    assert str(before["registry"]) in told[0]


def test_free_ports_are_left_alone(state):
    before = state.ports()
    lifecycle._free_ports(state, pytest.fail)
    assert state.ports() == before


def test_a_kubeconfig_that_cannot_be_used_stops_the_start_before_anything_runs(state, tmp_path):
    (tmp_path / "theirs").write_text("apiVersion: v1")
    with pytest.raises(SpecError, match="selects no context"):
        lifecycle.up(state, print, tmp_path / "theirs")
    assert {process.condition for process in lifecycle.status(state)} == {"stopped"}
    assert "etcd" in {process.name for process in lifecycle.status(state)}


def test_the_processes_of_a_control_plane_are_not_ours_to_show_when_it_is_somebody_elses(state):
    (state.cluster / "external").touch()
    assert not {"etcd", "kube-apiserver"} & {process.name for process in lifecycle.status(state)}


def test_the_stand_ins_are_ready_when_both_of_their_ports_listen(state):
    stand_ins = StandIns(state)
    assert not stand_ins.is_ready()
    with socket.create_server(("127.0.0.1", state.port("stand_ins"))):
        assert not stand_ins.is_ready()
        with socket.create_server(("127.0.0.1", state.port("proxy"))):
            assert stand_ins.is_ready()


def test_a_program_that_is_missing_is_named_with_its_package():
    with pytest.raises(SpecError, match="apt-get install no-such-package"):
        find_program("no-such-program", "no-such-package")


def test_a_program_that_fails_quotes_what_it_said(tmp_path):
    with pytest.raises(TransientError, match=r"ended with 3:\nno network"):
        run_program(["/bin/sh", "-c", "echo no network >&2; exit 3"], tmp_path, {})
