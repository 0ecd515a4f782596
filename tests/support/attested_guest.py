"""A scripted guest whose page answers: ready at once, with evidence that the attestation service has signed."""

import base64
import hashlib
import ssl

import aiohttp
from aiohttp import web

from confidential_summarizer.blueprint import PAGE_PORT
from summarizer.channel import memory_file, new_channel_key
from summarizer.evidence import Evidence, runtime_data
from tests.support.data_owner import attest
from tests.support.scripted_guest import ScriptedGuest

KEY = new_channel_key()
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
TLS.load_cert_chain(memory_file(KEY.pem))


class AttestedGuest(ScriptedGuest):
    def __init__(self, group, directory, network, attester):
        super().__init__(group, directory, network, attester)
        policy = group["properties"]["confidentialComputeProperties"]["ccePolicy"]
        self.host_data = hashlib.sha256(base64.b64decode(policy)).digest()
        self.attester = attester
        self.page = None

    async def start(self):
        await super().start()
        if self.group_view.state == "Running" and self.page is None:
            await self._serve()

    async def stop(self):
        page, self.page = self.page, None
        if page is not None:
            await page.cleanup()
        await super().stop()

    async def _serve(self):
        application = web.Application()
        application.router.add_get("/readyz", self._ready)
        application.router.add_get("/api/status", self._ready)
        application.router.add_get("/api/evidence", self._evidence)
        self.page = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self.page.setup()
        await web.TCPSite(self.page, self.network.address, PAGE_PORT, ssl_context=TLS).start()

    async def _ready(self, _):
        return web.json_response({"state": "Ready"})

    async def _evidence(self, request):
        data = runtime_data(request.query["nonce"], KEY.spki_sha256)
        async with aiohttp.ClientSession(trust_env=True) as session:
            try:
                token = await attest(session, self.attester, self.host_data, data)
            except (AssertionError, aiohttp.ClientError) as error:
                return web.json_response({"error": str(error)}, status=503)
        return web.json_response(Evidence(token, data).document())
