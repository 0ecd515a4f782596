import pytest
from streamlit.testing.v1 import AppTest

from summarizer import context, page
from summarizer.card import ModelCard
from summarizer.errors import EvidenceError
from summarizer.evidence import EvidenceDesk
from summarizer.guard import Guarded
from summarizer.progress import DocumentSummary, Progress, State

COPIED = DocumentSummary("Document 1", 600, 0, Guarded("It *copies* a lot.", "Reported", 42))
WITHHELD = DocumentSummary("Document 2", 600, 0, Guarded("", "Withheld", 0))


@pytest.fixture
def draw(settings):
    def draw(policy_hash: str = "", changes=None, desk=None, **snapshot) -> AppTest:
        progress = Progress()
        progress.update(**snapshot)
        context.set_context(context.Context(settings.model_copy(update=changes or {}), progress, policy_hash, desk))
        app = AppTest.from_file(page.__file__, default_timeout=20).run()
        assert not app.exception
        return app

    return draw


def text(app: AppTest) -> str:
    return "\n".join(element.value for element in [*app.markdown, *app.caption])


def test_while_it_waits_the_page_says_for_what(draw) -> None:
    app = draw(state=State.WAITING_FOR_KEY, reason="Waiting for the sidecar.")
    assert "Waiting for the sidecar" in app.info[0].value
    assert "Release the key and mount the documents: **now**" in text(app)
    assert not app.success


def test_while_it_summarizes_finished_summaries_are_there_already(draw) -> None:
    app = draw(state=State.SUMMARIZING, documents=3, summaries=(COPIED,))
    assert "Not ready yet" in app.info[0].value
    assert "It \\*copies\\* a lot" in text(app)


def test_when_it_is_ready_each_summary_has_its_words_and_verdict(draw) -> None:
    app = draw(state=State.READY, documents=2, skipped=1, summaries=(COPIED, WITHHELD))
    assert "2 of 2 documents summarized" in app.success[0].value
    assert "1 other files were passed over" in app.success[0].value
    assert "4 words from 600" in text(app)
    assert "repeats the document for 42 words in a row (limit 30)" in text(app)
    assert "withheld this summary" in text(app)


def test_the_page_promises_no_more_than_the_guard_holds(draw) -> None:
    withheld = text(draw(changes={"guard": "withhold", "guard_share": 7, "guard_run": 12}))
    assert "repeat at most 7 % of it word for word, and each at most 12 words in a row" in withheld
    assert "may repeat its document word for word" in text(draw(changes={"guard": "report"}))


def test_a_failure_shows_its_reason(draw) -> None:
    app = draw(state=State.FAILED, reason="model file config.json differs from its SHA-256")
    assert "config\\.json differs" in app.error[0].value


def test_what_a_summary_holds_is_never_read_as_markup(draw) -> None:
    evil = "[click](http://evil.example) <script>alert(1)</script> :red[x] $x$ ![i](http://evil.example/i.png)"
    app = draw(state=State.READY, documents=1, summaries=(DocumentSummary("D", 9, 0, Guarded(evil, "Passed", 0)),))
    shown = next(element.value for element in app.markdown if "evil" in element.value)
    assert "](" not in shown
    assert "\\<script\\>" in shown
    assert "\\$x\\$" in shown


def test_the_debug_profile_is_a_red_banner_above_everything(draw) -> None:
    app = draw(changes={"profile": "Debug"}, state=State.READY)
    assert "not confidential" in app.error[0].value
    drawn = [element.value for element in app.main.children.values() if hasattr(element, "value")]
    assert drawn.index(app.error[0].value) < drawn.index(app.title[0].value)
    assert not draw(state=State.READY).error


def test_the_notice_of_the_model_stands_above_the_summaries(draw) -> None:
    card = ModelCard("bart-demo", "It copies.", (("Architecture", "BART"),))
    app = draw(state=State.READY, documents=1, summaries=(COPIED,), model=card, engine="ctranslate2")
    assert app.warning[0].value == "It copies\\."
    assert app.expander[0].label == "About the model: bart\\-demo"
    assert "**Engine:** ctranslate2" in text(app)


def test_the_policy_hash_is_shown_and_confidentiality_claimed_only_with_it(draw) -> None:
    assert draw(policy_hash="ab" * 32).code[0].value == "ab" * 32
    outside = draw()
    assert "does not run in a confidential container group" in text(outside)
    assert "decrypted in its memory" not in text(outside)


def test_evidence_that_cannot_be_had_is_told_without_a_traceback(draw) -> None:
    def refuse(_data: bytes) -> str:
        raise EvidenceError("the service refused")

    app = draw(policy_hash="ab" * 32, desk=EvidenceDesk(refuse, "ee" * 32))
    app.button[0].click().run()
    assert "the service refused" in app.error[0].value
    assert not app.exception
