import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from azure_sandbox import processes
from azure_sandbox.processes import Command, Identity
from azure_sandbox.state import SandboxState
from confidential_summarizer.errors import SpecError, TransientError

SLEEPS = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    f"child = subprocess.Popen([sys.executable, '-c', {SLEEPS!r}]); print(child.pid, flush=True); child.wait()"
)


@pytest.fixture
def state(tmp_path):
    state = SandboxState(tmp_path / "home")
    state.prepare()
    yield state
    for pid_file in state.run.glob("*.pid"):
        processes.stop(state, pid_file.stem, seconds=1)


def python(name, code, **environment):
    return Command(name, [sys.executable, "-c", code], environment)


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_that_runs_is_not_started_twice(state):
    first = processes.start(state, python("sleeper", SLEEPS))
    assert processes.start(state, python("sleeper", SLEEPS)) == first
    assert processes.running(state, "sleeper") == first


def test_a_stopped_process_is_gone_and_did_not_die(state):
    identity = processes.start(state, python("sleeper", SLEEPS))
    assert processes.stop(state, "sleeper")
    assert not identity.is_alive
    assert processes.running(state, "sleeper") is None
    assert not processes.died(state, "sleeper")
    assert not processes.stop(state, "sleeper")


def test_a_killed_process_counts_as_died_and_starts_anew(state):
    first = processes.start(state, python("sleeper", SLEEPS))
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: processes.died(state, "sleeper"))
    second = processes.start(state, python("sleeper", SLEEPS))
    assert second != first
    assert not processes.died(state, "sleeper")


def test_a_process_that_ignores_sigterm_is_killed_with_its_children(state):
    processes.start(state, python("stubborn", STUBBORN))
    wait_for(lambda: state.log("stubborn").read_text().endswith("\n"))
    child = Identity.of(int(state.log("stubborn").read_text()))
    assert child is not None
    processes.stop(state, "stubborn", seconds=0.1)
    wait_for(lambda: not child.is_alive)


def test_a_reused_pid_is_neither_taken_for_the_process_nor_signalled(state):
    with subprocess.Popen([sys.executable, "-c", SLEEPS]) as stranger:
        identity = Identity.of(stranger.pid)
        assert identity is not None
        for changed in ({"start_ticks": identity.start_ticks - 1}, {"boot": "an-earlier-one"}):
            (state.run / "sleeper.pid").write_text(json.dumps({**vars(identity), **changed}))
            assert processes.running(state, "sleeper") is None
            assert not processes.stop(state, "sleeper", seconds=0.1)
            assert stranger.poll() is None
        stranger.kill()


def test_output_goes_to_the_log_and_is_kept_over_restarts(state):
    for word in ("first", "second"):
        processes.start(state, python("writer", f"import sys; print('{word}', flush=True); sys.exit('and last words')"))
        wait_for(lambda: processes.died(state, "writer"))
    assert state.log("writer").read_text().split("\n") == ["first", "and last words", "second", "and last words", ""]
    assert state.log("writer").stat().st_mode & 0o077 == 0


def test_the_callers_proxy_does_not_reach_a_process_but_its_own_settings_do(state, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://elsewhere:1")
    processes.start(state, python("writer", "import os; print(dict(os.environ))", PLANET="mars"))
    wait_for(lambda: processes.died(state, "writer"))
    assert "elsewhere" not in state.log("writer").read_text()
    assert "'PLANET': 'mars'" in state.log("writer").read_text()
    assert "'PATH'" in state.log("writer").read_text()


def test_a_process_keeps_nothing_open_that_its_starter_was_given(state, tmp_path):
    """`flock FILE make demo`: the lock must end with the command, not with the last process that it started."""
    with (tmp_path / "lock").open("w") as given:
        fcntl.flock(given, fcntl.LOCK_EX)
        os.set_inheritable(given.fileno(), True)
        processes.start(state, python("sleeper", SLEEPS))
    with (tmp_path / "lock").open("w") as free:
        fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_program_that_does_not_exist_is_named(state):
    with pytest.raises(SpecError, match=r"/no/such/program: No such file"):
        processes.start(state, Command("ghost", ["/no/such/program"]))
    assert processes.running(state, "ghost") is None


def test_waiting_for_a_process_that_ends_quotes_its_log(state):
    processes.start(state, python("failing", "import sys; sys.exit('the port is taken')"))
    with pytest.raises(TransientError, match=r"failing ended while it was starting[\s\S]*the port is taken"):
        processes.wait_until(state, "failing", lambda: False, seconds=20)


def test_waiting_has_a_deadline(state):
    processes.start(state, python("sleeper", SLEEPS))
    with pytest.raises(TransientError, match="the sleeper's dream was not ready after 0 s"):
        processes.wait_until(state, "sleeper", lambda: False, seconds=0, what="the sleeper's dream")


def test_a_zombie_is_not_alive(state):
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    wait_for(lambda: Identity.of(pid) is None)
    os.waitpid(pid, 0)
