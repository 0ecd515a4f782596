"""The web page. Streamlit runs this file anew for every visitor and every click.

It shows summaries and states only: no text of a document, no file name unless the settings say so, no traceback. What a
reader chooses stands in the address, so that it can be kept and sent.
"""

from typing import Final

import streamlit as st

from summarizer.asking import ask
from summarizer.context import Context, get_context
from summarizer.errors import WorkloadError
from summarizer.export import FORMATS, export, plain
from summarizer.extraction.extract import FORMATS as KINDS
from summarizer.jobs import JobState, JobView, Length, Request
from summarizer.listing import ORDERS, PAGE_SIZE, Order, Row, of_file_system, rows, search, sort
from summarizer.page_parts import (
    ICON,
    STYLE,
    copy_button,
    document_card,
    evidence_panel,
    model_facts,
    sign_out,
    visitor,
)
from summarizer.progress import Snapshot, State
from summarizer.settings import Settings

# Often enough that a waiting reader sees each summary come, seldom enough to cost nothing.
_REFRESH_SECONDS: Final = 1.0
_STEPS: Final = (
    (State.WAITING_FOR_MODEL, "Load the models"),
    (State.WAITING_FOR_KEY, "Release the key and mount the documents"),
    (State.SUMMARIZING, "Summarize"),
)
_ORDER: Final = tuple(State)
_NO_OTHER: Final = "No other model"
# A name of a file system has no capital.
_ALL: Final = "All"
_UNFINISHED: Final = (JobState.WAITING, JobState.RUNNING)


def main() -> None:
    """Draw the page."""
    context = get_context()
    st.set_page_config(page_title="Confidential summaries", page_icon=ICON, layout="centered")
    st.html(STYLE)
    if context.settings.profile == "Debug":
        st.error(
            "**Debug profile: not confidential.** The policy of this container group lets its operator run commands "
            "inside, read its output, and so read the documents. Use it with test data only."
        )
    st.title("Confidential summaries", anchor=False)
    if context.policy_hash:
        st.markdown(
            "These summaries are made inside a confidential container group. The documents are decrypted in its "
            "memory only."
        )
    st.markdown(_promise(context.settings))
    if context.settings.token_sha256 is not None:
        sign_out()
    _live(context)
    evidence_panel(context)


def _promise(settings: Settings) -> str:
    """Say how much of a document the summaries may be, and no more than the guard holds."""
    if settings.guard == "report":
        return "A summary may repeat its document word for word; the page only says so."
    return (
        f"All summaries of a text repeat at most {settings.guard_share} % of it word for word, and each at most "
        f"{settings.guard_run} words in a row; shorter pieces and other wordings are not counted."
    )


def _live(context: Context) -> None:
    """Draw what changes, and keep it up to date while something is under way."""
    settled = _is_settled(context)

    def live() -> None:
        _state(context.progress.snapshot, len(context.jobs.results))
        if context.progress.snapshot.readable:
            _desk(context)
        if _is_settled(context) != settled:
            # The whole page once more: it then begins or stops asking for news.
            st.rerun()

    st.fragment(live, run_every=None if settled else _REFRESH_SECONDS)()


def _is_settled(context: Context) -> bool:
    started = context.progress.snapshot.state in (State.READY, State.FAILED)
    return started and not any(view.state in _UNFINISHED for view in context.jobs.views())


def _state(snapshot: Snapshot, made: int) -> None:
    match snapshot.state:
        case State.READY:
            text = f"**Ready.** {plain(snapshot.reason)}"
            if snapshot.skipped:
                text += f" {snapshot.skipped} other files were passed over: only {', '.join(KINDS)} files are read."
            st.success(text)
        case State.FAILED:
            st.error(f"**Failed.** {plain(snapshot.reason)}")
        case _:
            st.info(f"**Not ready yet.** {plain(snapshot.reason)}")
            _steps(snapshot, made)


def _steps(snapshot: Snapshot, made: int) -> None:
    """List the steps on the way with where the work stands, for eyes and for screen readers."""
    now = _ORDER.index(State.SUMMARIZING if snapshot.state is State.MOUNTED else snapshot.state)
    lines = []
    for number, (state, label) in enumerate(_STEPS, start=1):
        place = _ORDER.index(state)
        word = "done" if place < now else "**now**" if place == now else "to come"
        lines.append(f"{number}. {label}: {word}")
    st.markdown("\n".join(lines))
    if count := len(snapshot.readable):
        st.progress(min(1.0, made / count), text=f"{min(made, count)} of {count} documents")


def _desk(context: Context) -> None:
    """Draw what a reader can choose, and what there is of it."""
    name = _file_system(context.progress.snapshot)
    models, length = _choice(context)
    snapshot, results = context.progress.snapshot, context.jobs.results
    for model in snapshot.models:
        if model.name in models and model.card.notice:
            st.warning(plain(f"{model.card.name}: {model.card.notice}"))
    everything = of_file_system(rows(snapshot, context.settings, results, models, length), name)
    awaited = context.jobs.awaited
    missing = [row.document.number for row in everything if _lacks(row, models, length, awaited)]
    _jobs(context, missing, models, length)
    st.header("Summaries", anchor=False)
    listed = _found(everything)
    _downloads(listed)
    pages = max(1, -(-len(listed) // PAGE_SIZE))
    number = st.selectbox("Page", range(1, pages + 1), key="page") if pages > 1 else 1
    for row in listed[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]:
        _row(context, row, models, length, awaited)
    if not listed:
        st.markdown("No document has all these words in its name or its summary.")
    for model in snapshot.models:
        model_facts(model)


def _file_system(snapshot: Snapshot) -> str | None:
    """Let the reader choose whose documents to look at, where there are several owners; None means all."""
    st.header("Choose", anchor=False)
    names = snapshot.file_systems
    if len(names) < 2:
        return None
    chosen = st.selectbox("Documents of", [_ALL, *names], key="documents", bind="query-params")
    return None if chosen == _ALL else chosen


def _choice(context: Context) -> tuple[list[str], Length]:
    """Let the reader choose models and length."""
    names = [model.name for model in context.progress.snapshot.models]
    titles = {model.name: model.card.name for model in context.progress.snapshot.models}
    chosen = names[0]
    other = _NO_OTHER
    if len(names) > 1:
        left, right = st.columns(2)
        chosen = left.selectbox("Model", names, format_func=titles.__getitem__, key="model", bind="query-params")
        others = [_NO_OTHER, *(name for name in names if name != chosen)]
        shown = {_NO_OTHER: _NO_OTHER} | titles
        other = right.selectbox(
            "Compare with", others, format_func=shown.__getitem__, key="compare", bind="query-params"
        )
    most = context.settings.max_words
    length = st.radio(
        "Length",
        [length.value for length in Length],
        index=len(Length) - 1,
        captions=[f"up to {length.words(most)} words" for length in Length],
        horizontal=True,
        key="length",
        bind="query-params",
    )
    return [chosen, *([] if other == _NO_OTHER else [other])], Length(length)


def _jobs(context: Context, missing: list[int], models: list[str], length: Length) -> None:
    """Offer to summarize what is missing, and show what is under way with a way to end it."""
    if missing:
        text = f"Summarize all ({len(missing)} missing)"
        st.button(text, type="primary", key="all", on_click=_ask, args=(context, missing, models, length))
    if refusal := st.session_state.pop("refusal", ""):
        st.error(plain(refusal))
    for view in context.jobs.views():
        if view.state in _UNFINISHED:
            _job(context, view)
    for reason in sorted({reason for view in context.jobs.views()[:1] for reason in view.failed.values()}):
        st.error(f"**Not summarized.** {plain(reason)}")


def _job(context: Context, view: JobView) -> None:
    left, right = st.columns([4, 1], vertical_alignment="center")
    count = len(view.requests)
    word = "Waiting" if view.state is JobState.WAITING else "Summarizing"
    left.progress(view.done / count, text=f"{word}: {view.done} of {count} summaries")
    if view.owner == visitor():
        right.button("Cancel", key=f"cancel-{view.id}", on_click=context.jobs.cancel, args=(view.owner, view.id))


def _found(everything: list[Row]) -> list[Row]:
    left, right = st.columns([3, 2])
    words = left.text_input("Search names and summaries", key="search", bind="query-params", max_chars=200)
    order: Order = right.selectbox("Sort by", ORDERS, key="sort", bind="query-params")
    return sort(search(everything, words or ""), order)


def _downloads(listed: list[Row]) -> None:
    summaries = [summary for row in listed for summary in row.summaries if summary is not None]
    if not summaries:
        return
    st.markdown(f"Download these {len(summaries)} summaries:")
    with st.container(horizontal=True):
        for kind in FORMATS:
            file = export(kind, summaries)
            st.download_button(
                kind,
                file.data,
                file.name,
                file.media_type,
                key=f"download-{kind}",
                on_click="ignore",
                help=f"Download as {file.name}",
            )


def _lacks(row: Row, models: list[str], length: Length, awaited: frozenset[Request]) -> bool:
    """Tell whether a summary of a row is neither there nor asked for."""
    if row.document.reason is not None:
        return False
    pairs = zip(models, row.summaries, strict=True)
    return any(one is None and Request(row.document.number, model, length) not in awaited for model, one in pairs)


def _row(context: Context, row: Row, models: list[str], length: Length, awaited: frozenset[Request]) -> None:
    with st.container(border=True):
        st.subheader(plain(row.document.label), anchor=f"document-{row.document.number}")
        if len(context.progress.snapshot.file_systems) > 1:
            st.markdown(f"In **{plain(row.document.file_system)}**")
        if row.document.reason is not None:
            st.markdown(f"This document {plain(row.document.reason.value)}.")
            return
        if row.document.unread:
            st.markdown(f"{row.document.unread} of its parts hold no text that is read: scanned pages or attachments.")
        places = st.columns(len(models)) if len(models) > 1 else [st.container()]
        for place, model, summary in zip(places, models, row.summaries, strict=True):
            with place:
                if len(models) > 1:
                    st.markdown(f"**{plain(model)}**")
                if summary is None:
                    asked = Request(row.document.number, model, length) in awaited
                    st.markdown("Asked for, and on its way." if asked else "Not summarized in this model and length.")
                else:
                    document_card(summary)
                    copy_button(summary)
        if _lacks(row, models, length, awaited):
            number = row.document.number
            st.button("Summarize", key=f"ask-{number}", on_click=_ask, args=(context, [number], models, length))


def _ask(context: Context, numbers: list[int], models: list[str], length: Length) -> None:
    try:
        ask(context.progress, context.jobs, visitor(), numbers, models, length)
    except WorkloadError as error:
        st.session_state["refusal"] = str(error)


if __name__ == "__main__":
    main()
