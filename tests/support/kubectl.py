"""kubectl as a test's eyes and hands."""

import json
import subprocess
import time


class Kubectl:
    """Runs kubectl of one sandbox as its admin.

    Args:
        state: The sandbox's files.
    """

    def __init__(self, state):
        self.state = state

    def run(self, *arguments, text=None, check=True):
        command = [self.state.bin / "kubectl", "--kubeconfig", self.state.kubeconfig, *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=check, timeout=120)

    def __call__(self, *arguments, text=None):
        return self.run(*arguments, text=text).stdout

    def get(self, *arguments):
        """The JSON of an object; None where there is none."""
        text = self("get", *arguments, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text else None

    def apply(self, document):
        self("apply", "--server-side", "-f", "-", text=json.dumps(document))

    def eventually(self, look, what, seconds=40):
        """Ask until the answer is true, and return it."""
        deadline = time.monotonic() + seconds
        while not (answer := look()):
            assert time.monotonic() < deadline, what
            time.sleep(0.2)
        return answer
