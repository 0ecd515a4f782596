"""The web page. Streamlit runs this file anew for every visitor and every click.

It shows summaries and states only: no text of a document, no file name unless the settings say so, no traceback.
"""

import secrets
from typing import Final

import streamlit as st

from summarizer.context import Context, get_context
from summarizer.errors import EvidenceError
from summarizer.extraction.extract import FORMATS
from summarizer.progress import DocumentSummary, Snapshot, State
from summarizer.settings import Settings

# Often enough that a waiting reader sees each state, seldom enough to cost nothing.
_REFRESH_SECONDS: Final = 2.0
_STEPS: Final = (
    (State.WAITING_FOR_MODEL, "Load the model"),
    (State.WAITING_FOR_KEY, "Release the key and mount the documents"),
    (State.SUMMARIZING, "Summarize"),
)
_ORDER: Final = tuple(State)
_KINDS: Final = ", ".join(FORMATS)
# Streamlit has no option for these: a calmer width and no decoration that leads elsewhere.
_STYLE: Final = """<style>
.block-container {max-width: 52rem; padding-top: 3rem}
h1 {font-size: 2rem !important}
[data-testid="stHeader"], [data-testid="stDecoration"], [data-testid="stHeaderActionElements"] {display: none}
</style>"""
_VERDICTS: Final = {
    "Passed": ("green", ":material/verified_user:", "passed the disclosure guard"),
    "Reported": ("orange", ":material/content_copy:", "repeats the document"),
    "Withheld": ("red", ":material/visibility_off:", "sentences withheld by the disclosure guard"),
}


def main() -> None:
    """Draw the page."""
    context = get_context()
    st.set_page_config(page_title="Confidential summaries", page_icon=":material/lock:", layout="centered")
    st.html(_STYLE)
    if context.settings.profile == "Debug":
        st.error(
            "**Debug profile: not confidential.** The policy of this container group lets its operator run commands "
            "inside, read its output, and so read the documents. Use it with test data only.",
            icon=":material/warning:",
        )
    st.title("Confidential summaries")
    if context.policy_hash:
        st.markdown(
            "These summaries are made inside a confidential container group. The documents are decrypted in its "
            "memory only."
        )
    st.markdown(_promise(context.settings))
    _live(context)
    _evidence(context)


def _promise(settings: Settings) -> str:
    """Say how much of a document the summaries may be, and no more than the guard holds."""
    if settings.guard == "report":
        return "A summary may repeat its document word for word; the page only says so."
    return (
        f"All summaries of a text repeat at most {settings.guard_share} % of it word for word, and each at most "
        f"{settings.guard_run} words in a row; shorter pieces and other wordings are not counted."
    )


def _live(context: Context) -> None:
    """Draw what changes until everything is summarized, and keep it up to date until then."""
    settled = context.progress.snapshot.state is State.READY

    def live() -> None:
        snapshot = context.progress.snapshot
        _state(snapshot)
        if snapshot.model is not None and snapshot.model.notice:
            st.warning(_plain(snapshot.model.notice), icon=":material/info:")
        for done in snapshot.summaries:
            _summary(done, context.settings.guard_run)
        _model(snapshot)
        if snapshot.state is State.READY and not settled:
            # The whole page once more: it then stops asking.
            st.rerun()

    st.fragment(live, run_every=None if settled else _REFRESH_SECONDS)()


def _state(snapshot: Snapshot) -> None:
    match snapshot.state:
        case State.READY:
            text = f"**Ready.** {len(snapshot.summaries)} of {snapshot.documents} documents summarized."
            if snapshot.skipped:
                text += f" {snapshot.skipped} other files were passed over: only {_KINDS} files are read."
            st.success(text, icon=":material/check_circle:")
            for one in snapshot.unreadable:
                st.warning(f"**{_plain(one.document)}** {_plain(one.reason.value)}.", icon=":material/warning:")
        case State.FAILED:
            st.error(f"**Failed.** {_plain(snapshot.reason)}", icon=":material/error:")
        case _:
            st.info(f"**Not ready yet.** {_plain(snapshot.reason)}", icon=":material/hourglass_top:")
            _steps(snapshot)


def _steps(snapshot: Snapshot) -> None:
    """List the steps on the way with where the work stands, for eyes and for screen readers."""
    now = _ORDER.index(State.SUMMARIZING if snapshot.state is State.MOUNTED else snapshot.state)
    lines = []
    for number, (state, label) in enumerate(_STEPS, start=1):
        place = _ORDER.index(state)
        word = "done" if place < now else "**now**" if place == now else "to come"
        lines.append(f"{number}. {label}: {word}")
    st.markdown("\n".join(lines))
    if snapshot.documents:
        st.progress(
            len(snapshot.summaries) / snapshot.documents,
            text=f"{len(snapshot.summaries)} of {snapshot.documents} documents",
        )


def _summary(done: DocumentSummary, limit: int) -> None:
    color, icon, verdict = _VERDICTS[done.guarded.verdict]
    with st.container(border=True):
        st.markdown(f"#### {_plain(done.document)}")
        if done.guarded.summary:
            st.markdown(_plain(done.guarded.summary))
        else:
            st.markdown("*The disclosure guard withheld this summary.*")
        if done.guarded.longest_run > limit:
            verdict += f" for {done.guarded.longest_run} words in a row (limit {limit})"
        if done.unread:
            st.markdown(f":small[{done.unread} parts hold no text that can be read: scanned pages or attachments.]")
        st.markdown(f":small[{done.words} words from {done.source_words:,}]&emsp;:{color}-badge[{icon} {verdict}]")


def _model(snapshot: Snapshot) -> None:
    if snapshot.model is None:
        return
    card = snapshot.model
    with st.expander(f"About the model: {_plain(card.name)}", icon=":material/neurology:"):
        facts = (*card.facts, ("Engine", snapshot.engine), ("SHA-256 of the manifest", snapshot.model_sha256))
        st.markdown("\n".join(f"- **{_plain(label)}:** {_plain(value)}" for label, value in facts))


def _evidence(context: Context) -> None:
    st.markdown("### Evidence")
    if context.policy_hash:
        st.markdown("Hash of the policy that this container group is bound to (host-data):")
        st.code(context.policy_hash, language=None)
    else:
        st.markdown("This process sees no policy: it does not run in a confidential container group.")
    if context.desk is None:
        st.caption("No attestation service is configured, so there is no token to show.")
        return
    st.caption(
        "The hash above is this page's own word. Proof is a token of "
        f"{_plain(context.settings.maa or '')} over a nonce of yours and over the key of this connection: `csum open` "
        "asks for it before your browser sees anything, `csum verify` shows what it says."
    )
    if st.button("Get a fresh attestation token", icon=":material/verified:"):
        try:
            given = context.desk.evidence(secrets.token_urlsafe(32))
        except EvidenceError as error:
            st.error(_plain(str(error)))
        else:
            st.code(given.token, language=None, wrap_lines=True)


def _plain(text: str) -> str:
    """Return `text` with everything escaped that Markdown, math or streamlit's own directives would read."""
    return "".join(f"\\{character}" if character in "\\`*_{}[]()<>#+-.!|~$:&" else character for character in text)


if __name__ == "__main__":
    main()
