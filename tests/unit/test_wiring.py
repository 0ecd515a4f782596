"""The edges that all resources share."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from confidential_summarizer.errors import TransientError
from confidential_summarizer.evidence import SigningKey
from confidential_summarizer.wiring import KEYS_SECONDS, AuthorityKeys
from tests.support.attested import Attested

KEYS = Attested(datetime(2026, 11, 28, tzinfo=UTC)).keys


@dataclass
class Service:
    """An attestation service that is away while `error` says so."""

    asked: int = 0
    error: Exception | None = None
    now: float = 0.0
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, authority: str) -> tuple[SigningKey, ...]:
        self.asked += 1
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return KEYS


@pytest.fixture
def service() -> Service:
    return Service()


async def test_groups_that_prove_themselves_at_once_share_one_question(service: Service) -> None:
    keys = AuthorityKeys(service.ask, lambda: service.now)
    asking = [asyncio.create_task(keys("one")) for _ in range(50)]
    await asyncio.sleep(0)
    asking.pop(0).cancel()  # it has asked for all of them
    service.answers.set()
    assert await asyncio.gather(*asking) == [KEYS] * 49
    assert service.asked == 1
    service.now = KEYS_SECONDS + 1
    await keys("one")
    assert service.asked == 2


async def test_a_service_that_was_away_is_asked_again_by_the_next_group(service: Service) -> None:
    service.answers.set()
    service.error = TransientError("away")
    keys = AuthorityKeys(service.ask, lambda: service.now)
    with pytest.raises(TransientError):
        await keys("one")
    service.error = None
    assert await keys("one") == KEYS
