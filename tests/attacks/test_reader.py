"""A reader, or a model that serves one, wants more of a document than its summary."""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import streamlit
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from summarizer import access, page
from summarizer.api import routes
from summarizer.asking import ask
from summarizer.context import Context, set_context
from summarizer.errors import EvidenceError
from summarizer.evidence import EvidenceDesk
from summarizer.guard import DENSE_GRAM, GRAM, Guard, Guarded, Ledger, apply_guard, letters_of
from summarizer.jobs import Jobs, Length, Request, Result
from summarizer.peers import EVIDENCE, SIGN_IN, Peers
from summarizer.progress import Progress
from summarizer.settings import DocumentSet, Settings
from summarizer.text import DENSE, count_words, sentences
from summarizer.throttle import PeerLimits
from summarizer.worker import Worker
from tests.support.lead_engine import LeadEngine

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXTS = Path(__file__).parents[1] / "data" / "texts"

GUARD = Guard("withhold", 30, 1000, max_share=15, shortest=1000)
WORDS = [f"{first}{second}" for first in ("amber", "brick", "cedar", "delta") for second in map(str, range(100, 160))]
DOCUMENT = ". ".join(" ".join(WORDS[i : i + 28]).capitalize() for i in range(0, len(WORDS), 28)) + "."
CHINESE = "".join(chr(0x4E00 + i) for i in range(2000))


def fillers(text: str) -> str:
    return " ".join(f"{word} zzz" if i % 30 == 29 else word for i, word in enumerate(text.split()))


@pytest.mark.parametrize(
    ("summary", "document"),
    [
        (" ".join(WORDS[:26]), " ".join(WORDS[:26])),
        (". ".join(DOCUMENT.split(". ")[:8:2]), DOCUMENT),
        (fillers(DOCUMENT), DOCUMENT),
        (DOCUMENT.replace(" ", ""), DOCUMENT),
        (DOCUMENT.replace(" ", "x"), DOCUMENT),
        (CHINESE[:400], CHINESE),
        (DOCUMENT.replace("1", "\u00ad\uff11"), DOCUMENT),
        ("".join(f"{character}\u0301" if character.isalnum() else character for character in DOCUMENT), DOCUMENT),
    ],
    ids=[
        "short document",
        "four sentences",
        "fillers",
        "no blanks",
        "x for blanks",
        "Chinese",
        "other code points",
        "accents",
    ],
)
def test_a_copy_is_withheld_within_the_share(summary: str, document: str) -> None:
    ledger = Ledger(letters_of(document))
    guarded = apply_guard(GUARD, summary, document, ledger)
    assert guarded.verdict == "Withheld"
    assert 100 * ledger.count <= 15 * len(ledger.letters)


def test_many_small_answers_about_one_document_do_not_add_up() -> None:
    ledger = Ledger(letters_of(DOCUMENT))
    verdicts = [apply_guard(GUARD, part, DOCUMENT, ledger).verdict for part in DOCUMENT.split(". ")]
    assert (verdicts[0], verdicts[-1]) == ("Passed", "Withheld")
    assert 100 * ledger.count <= 15 * len(ledger.letters)


def test_an_honest_paraphrase_passes() -> None:
    assert apply_guard(GUARD, "Four kinds of goods are numbered.", DOCUMENT).verdict == "Passed"


ALPHABETS = ("abcdef", "абвгде", "अआइईउऊ", "가나다라마바", "的一是不了人", "กขคงจฉ", "あいうえおか", "aé1的")
SEPARATORS = (" ", ". ", "", "\n\n", ", ", "x", "\u200b", "。")


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Words of one script, in sentences: prose to a program that knows no language."""
    letters = draw(st.sampled_from(ALPHABETS))
    words = draw(st.lists(st.text(letters, min_size=1, max_size=9), min_size=5, max_size=120))
    return "".join(word + draw(st.sampled_from(SEPARATORS[:3])) for word in words)


@st.composite
def copies(draw: st.DrawFn, document: str) -> str:
    """What a copying model answers: stretches of the document, joined, spelled and spaced as it likes."""
    places = st.integers(0, len(document))
    pieces = []
    for _piece in range(draw(st.integers(1, 6))):
        start, end = sorted((draw(places), draw(places)))
        change = draw(st.sampled_from([str, str.upper, str.title, lambda text: text.replace(" ", ""), accented]))
        pieces.append(change(document[start:end]))
    return draw(st.sampled_from(SEPARATORS)).join(pieces)


def accented(text: str) -> str:
    return "\u0301".join(text)


def repeated(document: str, shown: list[str]) -> float:
    """The percentage of a document's letters that texts repeat in stretches; found letter by letter, from the claim."""
    letters = letters_of(document)
    covered: set[int] = set()
    for text in map(letters_of, shown):
        for start in range(len(letters)):
            length = 0
            while start + length < len(letters) and letters[start : start + length + 1] in text:
                length += 1
            dense = next((n for n in range(length) if not DENSE.match(letters[start + n])), length)
            if length >= GRAM or dense >= DENSE_GRAM:
                covered.update(range(start, start + (length if length >= GRAM else dense)))
    return 100 * len(covered) / max(1, len(letters))


@settings(max_examples=150, deadline=None)
@given(data=st.data(), document=documents(), share=st.integers(1, 60), run=st.integers(5, 40))
def test_whatever_a_copying_model_answers_and_however_often_the_limits_hold(data, document, share, run) -> None:
    guard = Guard("withhold", run, 30, max_share=share, shortest=0)
    ledger = Ledger(letters_of(document))
    answers = data.draw(st.lists(copies(document), min_size=1, max_size=6))
    shown = [apply_guard(guard, answer, document, ledger) for answer in answers]

    assert repeated(document, [one.summary for one in shown]) <= share
    names = re.findall(r"[^\W_]+", document)
    for stretch in (letters_of("".join(names[i : i + run + 1])) for i in range(len(names) - run)):
        assert not any(stretch in letters_of(one.summary) for one in shown)
    # A cut sentence gets an ellipsis, which is no word of the document.
    assert all(count_words(one.summary.removesuffix("…")) <= 30 for one in shown)


@settings(max_examples=50, deadline=None)
@given(data=st.data(), document=documents())
def test_nothing_is_shown_of_a_document_shorter_than_the_limit(data, document) -> None:
    guard = Guard("withhold", 1000, 1000, max_share=100, shortest=len(letters_of(document)) + 1)
    ledger = Ledger(letters_of(document))
    for answer in data.draw(st.lists(copies(document), min_size=1, max_size=3)):
        assert apply_guard(guard, answer, document, ledger).summary == ""


@pytest.mark.parametrize(
    "change",
    [accented, lambda text: text.replace("0 ", "0"), lambda text: text.replace("r", "r "), lambda text: text.upper()],
    ids=["accents", "blanks left out", "blanks in words", "capitals"],
)
def test_words_in_a_row_are_found_however_they_are_spelled_and_spaced(change: Callable[[str], str]) -> None:
    guard = Guard("withhold", 10, 1000, max_share=100)
    copied = " ".join(WORDS[:11])
    guarded = apply_guard(guard, change(copied), DOCUMENT)
    assert (guarded.verdict, guarded.summary) == ("Withheld", "")
    assert apply_guard(guard, change(" ".join(WORDS[:10])), DOCUMENT).longest_run <= 10
    assert apply_guard(guard, " ".join(WORDS[:5] + WORDS[200:205]), DOCUMENT).verdict == "Passed"


def test_the_pages_own_button_for_evidence_is_no_way_round_what_a_peer_may_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pressed often, in as many windows as one likes, it kept the processor's one mailbox from everybody else."""
    made: list[bytes] = []

    def attest(data: bytes) -> str:
        made.append(data)
        raise EvidenceError("the reader does not care")

    configuration = Settings(documents=(DocumentSet(directory=tmp_path),), models=("m",), models_directory=tmp_path)
    context = Context(configuration, Progress(), desk=EvidenceDesk(attest, "ee" * 32))
    set_context(context)
    api = TestClient(PeerLimits(Starlette(routes=routes(context)), context.peers), client=("10.0.0.7", 1))
    monkeypatch.setattr(type(streamlit.context), "ip_address", "10.0.0.7")
    for _ in range(EVIDENCE.a_minute - 1):
        api.get("/api/evidence", params={"nonce": "n" * 43})
    window = AppTest.from_file(page.__file__, default_timeout=20).run()
    said = []
    for _ in range(3):
        next(button for button in window.button if button.label == "Show what a fresh proof says").click()
        window.run()
        said.append([error.value for error in window.error])

    assert len(made) == EVIDENCE.a_minute
    assert said == [["the reader does not care"], ["you ask too often\\: ask again in a minute"], said[1]]
    assert api.get("/api/evidence", params={"nonce": "n" * 43}).status_code == 429


def test_asking_for_everything_again_and_again_fills_no_memory_and_takes_nobodys_time() -> None:
    """Each job keeps what it asked for; the page looks at all of them every second, for each who looks at it."""
    jobs = Jobs()
    jobs.open(dict.fromkeys(range(40_000), 600))
    everything = [Request(number, "bart", Length.LONG) for number in range(40_000)]
    for request in everything:
        jobs.done(Result(request, Guarded("A summary.", "Passed", 0), 0.1, datetime.now(UTC)))
    ids = [jobs.submit("10.0.0.1", everything).id for _ in range(4)]
    assert [view.id for view in jobs.views()] == ids[:1:-1]


def test_nobodys_newest_job_is_forgotten_however_large_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("summarizer.jobs._KEPT_REQUESTS", 1)
    jobs = Jobs()
    jobs.open({1: 600, 2: 600})
    both = [Request(number, "bart", Length.LONG) for number in (1, 2)]
    for request in both:
        jobs.done(Result(request, Guarded("A summary.", "Passed", 0), 0.1, datetime.now(UTC)))
    ids = [jobs.submit("10.0.0.1", both).id for _ in range(2)]
    assert [view.id for view in jobs.views()] == ids[1:]


async def test_who_sends_the_token_for_ever_keeps_nobody_behind_the_same_address_from_signing_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind a load balancer all readers have one address, which may have two sign-ins under way."""
    monkeypatch.setattr(access, "_FORM_SECONDS", 0.2)
    guarded = access.TokenAccess(Starlette(), "ab" * 32, Peers())
    scope = {
        "type": "http", "method": "POST", "path": "/login", "query_string": b"", "headers": [], "client": ("10.0.0.7", 1),
    }  # fmt: skip

    async def sign_in(receive: Callable[[], Awaitable[dict[str, Any]]]) -> int:
        statuses: list[int] = []

        async def send(message: dict[str, Any]) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        await guarded(scope, receive, send)
        return statuses[0]

    async def never() -> dict[str, Any]:
        await asyncio.sleep(3600)
        return {}

    async def at_once() -> dict[str, Any]:
        return {"type": "http.request", "body": b"token=wrong", "more_body": False}

    slow = [asyncio.create_task(sign_in(never)) for _ in range(SIGN_IN.at_once)]
    await asyncio.sleep(0)
    assert await sign_in(at_once) == 429
    assert await asyncio.wait_for(asyncio.gather(*slow), 20) == [408] * SIGN_IN.at_once
    assert await sign_in(at_once) == 403


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let models copy, each in other places."""
    engines = iter((LeadEngine(20), LeadEngine(60)))
    monkeypatch.setattr("summarizer.models.load_engine", lambda _choice, _files: next(engines))


def bounded_by_share(documents: Path, *models: str) -> Settings:
    """Return settings under which nothing but the share of a document bounds what is shown of it."""
    return Settings(
        documents=(DocumentSet(directory=documents),),
        models=models,
        models_directory=EXAMPLES / "models",
        guard_share=15,
        guard_run=1000,
        max_words=1000,
    )


class TurningEngine(LeadEngine):
    """Copies two other sentences at each answer."""

    places = itertools.count(step=2)

    def summarize(self, texts: Sequence[str], max_words: int) -> list[str]:
        return [" ".join(sentences(text)[(place := next(self.places)) : place + 2]) for text in texts]


def test_the_same_text_under_two_names_has_one_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who gets the same document several times gets no second helping."""
    monkeypatch.setattr("summarizer.models.load_engine", lambda _choice, _files: TurningEngine(10_000))
    configuration = bounded_by_share(tmp_path, "bart-demo")
    text = (TEXTS / "lincoln-second-inaugural.txt").read_text()
    for name in ("a.txt", "b.txt", "c.txt", "d.txt"):
        (tmp_path / name).write_text(text)
    jobs = Jobs()
    Worker(configuration, Progress(), jobs).start()
    shown = [result.guarded.summary for result in jobs.results.values()]
    assert len({*shown}) > 2
    assert 0 < repeated(text, shown) <= 15


@pytest.mark.usefixtures("copying")
def test_each_group_counts_for_itself(tmp_path: Path) -> None:
    """No bound: groups do not know of each other, and one whose models answer differently shows something else."""
    configuration = bounded_by_share(tmp_path, "bart-demo")
    text = (TEXTS / "lincoln-second-inaugural.txt").read_text()
    (tmp_path / "a.txt").write_text(text)
    shown = []
    for _group in range(2):
        jobs = Jobs()
        Worker(configuration, Progress(), jobs).start()
        shown += [result.guarded.summary for result in jobs.results.values()]
    assert 0 < repeated(text, shown[:1]) <= 15
    assert 15 < repeated(text, shown) <= 30


@pytest.mark.usefixtures("copying")
def test_asking_again_in_every_model_and_length_gives_no_more_than_the_share(tmp_path: Path) -> None:
    """A reader who asks for one document in all ways that there are, page and API alike, has one budget."""
    documents = tmp_path / "documents"
    documents.mkdir()
    text = (TEXTS / "darwin-origin-introduction.txt").read_text()
    (documents / "a.txt").write_text(text)
    names = ("bart-demo", "t5-demo")
    configuration = bounded_by_share(documents, *names)
    progress, jobs = Progress(), Jobs()
    worker = Worker(configuration, progress, jobs)
    worker.start()
    for length in Length:
        ask(progress, jobs, "reader", "all", names, length)
    while jobs.awaited:
        worker.step()
    shown = [result.guarded.summary for result in jobs.results.values()]
    assert len(shown) == 6
    assert 0 < repeated(text, shown) <= 15
