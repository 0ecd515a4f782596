"""The stand-ins' process with scripted guests: `python -m tests.support.stand_ins_process HOME [attested]`, until SIGTERM.

The guests of `attested` have a page that answers with evidence.
"""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from azure_sandbox.azure.stand_ins import serve
from azure_sandbox.state import SandboxState
from tests.support.attested_guest import AttestedGuest
from tests.support.scripted_guest import ScriptedGuest


async def main():
    logging.basicConfig(level=logging.INFO)
    state = SandboxState(Path(sys.argv[1]))
    state.prepare()
    until = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, until.set)
    await serve(state, AttestedGuest if sys.argv[2:] == ["attested"] else ScriptedGuest, until)


asyncio.run(main())
