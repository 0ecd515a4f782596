"""What the page shows in each state, and that nothing in a summary or a name is read as markup."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from summarizer import context, page
from summarizer.card import ModelCard
from summarizer.errors import EvidenceError
from summarizer.evidence import EvidenceDesk
from summarizer.extraction.reasons import Reason
from summarizer.guard import Guarded
from summarizer.jobs import Jobs, JobState, Length, Request, Result
from summarizer.models import OfferedModel
from summarizer.progress import ListedDocument, Progress, State
from tests.support.attested import Attested
from tests.support.resources import ATTESTATION

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
BART = OfferedModel("bart", ModelCard("BART", "It copies.", (("Architecture", "BART"),)), "a" * 64, "ctranslate2")
T5 = OfferedModel("t5", ModelCard("T5"), "b" * 64)
COPIED = Result(Request(1, "bart", Length.LONG), Guarded("It *copies* a lot.", "Reported", 42), 0.5, NOW)
WITHHELD = Result(Request(2, "bart", Length.LONG), Guarded("", "Withheld", 0), 0.5, NOW)
OTHER = Result(Request(1, "t5", Length.LONG), Guarded("Another view.", "Passed", 2), 0.5, NOW)
DOCUMENTS = (ListedDocument(1, "Document 1", "txt", 600), ListedDocument(2, "Document 2", "pdf", 300, 4))


@pytest.fixture
def jobs() -> Jobs:
    jobs = Jobs(now=lambda: NOW)
    jobs.open(dict.fromkeys(range(1, 100), 600))
    return jobs


@pytest.fixture
def draw(settings, jobs):
    def draw(*results: Result, policy_hash: str = "", changes=None, desk=None, query=None, **snapshot) -> AppTest:
        for result in results:
            jobs.done(result)
        progress = Progress()
        progress.update(**{"models": (BART, T5), "documents": DOCUMENTS} | snapshot)
        changed = settings.model_copy(update=changes or {})
        context.set_context(context.Context(changed, progress, jobs, policy_hash, desk))
        app = AppTest.from_file(page.__file__, default_timeout=20)
        for name, value in (query or {}).items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        return app

    return draw


def text(app: AppTest) -> str:
    return "\n".join(element.value for element in [*app.markdown, *app.caption, *app.subheader])


def buttons(app: AppTest) -> list[str]:
    return [button.label for button in app.button]


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click()
    app.run()
    assert not app.exception
    return app


def test_while_it_waits_the_page_says_for_what(draw) -> None:
    app = draw(state=State.WAITING_FOR_KEY, reason="Waiting for the sidecar.", documents=())
    assert "Waiting for the sidecar" in app.info[0].value
    assert "Release the key and mount the documents: **now**" in text(app)
    assert not app.success


def test_while_it_summarizes_finished_summaries_are_there_already(draw) -> None:
    app = draw(COPIED, state=State.SUMMARIZING)
    assert "Not ready yet" in app.info[0].value
    assert "It \\*copies\\* a lot" in text(app)


def test_when_it_is_ready_each_summary_has_its_facts_and_verdict(draw) -> None:
    app = draw(COPIED, WITHHELD, state=State.READY, reason="All 2 documents are summarized.", skipped=1)
    assert "All 2 documents are summarized" in app.success[0].value
    assert "1 other files were passed over" in app.success[0].value
    shown = text(app).replace("\\", "")
    assert "4 words from 600 (99% shorter), long by bart in 0.5 s, 2026-01-02 03:04 UTC" in shown
    assert "repeats the document for 42 words in a row (limit 30)" in shown
    assert "withheld this summary" in shown
    assert "4 of its parts hold no text" in shown


OF_TWO_OWNERS = tuple(replace(one, file_system=name) for one, name in zip(DOCUMENTS, ("legal", "sales"), strict=True))


def test_the_documents_of_several_file_systems_are_told_apart(draw) -> None:
    app = draw(COPIED, WITHHELD, state=State.READY, documents=OF_TWO_OWNERS)
    assert [app.selectbox(key="documents").options, app.subheader.values] == [
        ["All", "legal", "sales"],
        ["Document 1", "Document 2"],
    ]
    assert {"In **legal**", "In **sales**"} <= set(app.markdown.values)
    app.selectbox(key="documents").select("sales").run()
    assert app.subheader.values == ["Document 2"]


def test_a_link_leads_to_the_documents_of_one_file_system(draw) -> None:
    app = draw(COPIED, WITHHELD, state=State.READY, documents=OF_TWO_OWNERS, query={"documents": "sales"})
    assert app.subheader.values == ["Document 2"]


def test_where_there_is_one_file_system_nobody_is_asked_which(draw) -> None:
    app = draw(COPIED, state=State.READY)
    assert [one.key for one in app.selectbox if one.key == "documents"] == []
    assert "In **" not in text(app)


def test_what_cannot_be_read_says_why(draw) -> None:
    app = draw(
        state=State.READY, documents=(*DOCUMENTS, ListedDocument(3, "Document 3", "pdf", 0, 0, Reason.ENCRYPTED))
    )
    assert "is encrypted" in text(app)


def test_the_page_promises_no_more_than_the_guard_holds(draw) -> None:
    withheld = text(draw(changes={"guard": "withhold", "guard_share": 7, "guard_run": 12}))
    assert "repeat at most 7 % of it word for word, and each at most 12 words in a row" in withheld
    assert "may repeat its document word for word" in text(draw(changes={"guard": "report"}))


def test_a_failure_shows_its_reason(draw) -> None:
    app = draw(state=State.FAILED, reason="model file config.json differs from its SHA-256", documents=())
    assert "config\\.json differs" in app.error[0].value


def test_a_reader_asks_for_one_document_in_another_model_and_length(draw, jobs) -> None:
    app = draw(COPIED, WITHHELD, state=State.READY)
    app.selectbox(key="model").select("t5")
    app.radio(key="length").set_value("short").run()
    assert buttons(app).count("Summarize") == 2
    press(app, "Summarize")
    assert [view.requests for view in jobs.views()] == [(Request(1, "t5", Length.SHORT),)]
    assert "Cancel" in buttons(app)


def test_a_reader_asks_for_all_and_cancels(draw, jobs) -> None:
    app = draw(COPIED, state=State.READY, query={"compare": "T5"})
    press(app, "Summarize all (2 missing)")
    [view] = jobs.views()
    assert len(view.requests) == 4
    press(app, "Cancel")
    assert jobs.view(view.id).state is JobState.CANCELLED


def test_what_another_reader_asked_for_is_shown_without_a_way_to_end_it(draw, jobs) -> None:
    jobs.submit("192.0.2.7", [Request(1, "t5", Length.LONG)])
    assert "Cancel" not in buttons(draw(COPIED, state=State.READY))


def test_two_models_stand_side_by_side_and_the_address_says_so(draw) -> None:
    app = draw(COPIED, OTHER, state=State.READY, query={"compare": "T5"})
    assert app.selectbox(key="compare").value == "t5"
    assert "Another view" in text(app)
    assert "It \\*copies\\* a lot" in text(app)


def test_summaries_are_searched_and_sorted(draw) -> None:
    app = draw(COPIED, WITHHELD, state=State.READY)
    app.text_input(key="search").input("COPIES lot").run()
    assert [element.value for element in app.subheader] == ["Document 1"]
    app.text_input(key="search").input("nowhere").run()
    assert "No document has all these words" in text(app)
    app.text_input(key="search").input("").run()
    app.selectbox(key="sort").select("Guard's verdict").run()
    assert [element.value for element in app.subheader] == ["Document 2", "Document 1"]


def test_a_hundred_documents_come_in_pages(draw) -> None:
    app = draw(state=State.READY, documents=tuple(ListedDocument(n, f"Document {n}", "txt", 9) for n in range(1, 100)))
    assert len(app.subheader) == 20
    app.selectbox(key="page").select(5).run()
    assert app.subheader[-1].value == "Document 99"


def test_the_limits_of_a_reader_hold_on_the_page_too(draw, monkeypatch) -> None:
    monkeypatch.setattr(type(st.context), "ip_address", "10.0.0.7")
    app = draw(state=State.READY, documents=tuple(ListedDocument(n, f"Document {n}", "txt", 9) for n in range(1, 12)))
    for _ in range(10):
        press(app, "Summarize")
    assert not app.error
    press(app, "Summarize")
    assert "10 unfinished jobs" in app.error[0].value


def test_what_a_summary_holds_is_never_read_as_markup(draw) -> None:
    evil = "[click](http://evil.example) <script>alert(1)</script> :red[x] $x$ ![i](http://evil.example/i.png)"
    result = Result(Request(1, "bart", Length.LONG), Guarded(evil, "Passed", 0), 0.5, NOW)
    app = draw(result, state=State.READY)
    shown = next(element.value for element in app.markdown if "evil" in element.value)
    assert "](" not in shown
    assert "\\<script\\>" in shown
    assert "\\$x\\$" in shown


def test_nor_what_a_model_says_of_itself(draw) -> None:
    evil = "[click](x) ![i](x) :red[x] `x`"
    model = OfferedModel("bart", ModelCard(evil, evil, ((evil, evil),)), "a" * 64, evil)
    app = draw(state=State.READY, models=(model,))
    said = [element.value for element in (*app.warning, *app.markdown)] + [expander.label for expander in app.expander]
    assert len([one for one in said if "click" in one]) == 3
    assert not [one for one in said if re.search(r"(?<!\\)[\[`]", one.replace("\\\\", "")) and "click" in one]


def test_the_debug_profile_is_a_red_banner_above_everything(draw) -> None:
    app = draw(changes={"profile": "Debug"}, state=State.READY)
    assert "not confidential" in app.error[0].value
    drawn = [element.value for element in app.main.children.values() if hasattr(element, "value")]
    assert drawn.index(app.error[0].value) < drawn.index(app.title[0].value)
    assert not draw(state=State.READY).error


def test_the_notice_of_the_chosen_model_stands_above_the_summaries(draw) -> None:
    app = draw(COPIED, state=State.READY)
    assert app.warning[0].value == "BART: It copies\\.".replace(":", "\\:")
    assert [expander.label for expander in app.expander] == ["About the model BART", "About the model T5"]
    assert "**Engine:** ctranslate2" in text(app)
    app.selectbox(key="model").select("t5").run()
    assert not app.warning


def test_the_policy_hash_is_shown_and_confidentiality_claimed_only_with_it(draw) -> None:
    assert "ab" * 32 in text(draw(policy_hash="ab" * 32))
    outside = draw()
    assert "does not run in a confidential container group" in text(outside)
    assert "decrypted in its memory" not in text(outside)


@pytest.mark.parametrize(
    ("mode", "claim"), [("withhold", "bounds what summaries repeat"), ("report", "only tells here")]
)
def test_the_page_claims_no_more_of_the_guard_than_it_does(draw, mode: str, claim: str) -> None:
    assert f"**The disclosure guard** {claim}" in text(draw(state=State.READY, changes={"guard": mode}))


def test_a_fresh_proof_is_told_in_sentences_and_not_as_a_token(draw) -> None:
    attested = Attested(datetime.now(UTC))
    tokens = []

    def attest(data: bytes) -> str:
        tokens.append(attested.evidence(json.loads(data)["nonce"], "ab" * 32, "ee" * 32)["token"])
        return tokens[-1]

    changes = {"maa": ATTESTATION}
    app = draw(policy_hash="ab" * 32, desk=EvidenceDesk(attest, "ee" * 32), changes=changes, state=State.READY)
    press(app, "Show what a fresh proof says")
    assert text(app).count("**Yes:**") == 6
    assert "**No:**" not in text(app)
    assert tokens[0] not in text(app)
    app = draw(policy_hash="cd" * 32, desk=EvidenceDesk(attest, "ee" * 32), changes=changes, state=State.READY)
    press(app, "Show what a fresh proof says")
    assert "**No:** The guest is bound to the policy above" in text(app)


def test_evidence_that_cannot_be_had_is_told_without_a_traceback(draw) -> None:
    def refuse(_data: bytes) -> str:
        raise EvidenceError("the service refused")

    app = draw(policy_hash="ab" * 32, desk=EvidenceDesk(refuse, "ee" * 32), state=State.READY)
    press(app, "Show what a fresh proof says")
    assert "the service refused" in app.error[0].value
