"""Parts of the page that do not change what is asked for: looks, one summary, the models' cards, the evidence."""

import base64
import html
import secrets
from typing import Final

import streamlit as st

from summarizer.bodies import Summary
from summarizer.claims import read_claims
from summarizer.context import Context
from summarizer.errors import WorkloadError
from summarizer.export import facts, plain, verdict
from summarizer.models import OfferedModel
from summarizer.peers import EVIDENCE

_LOCK: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path fill="#0f5c8c" d="M6 10V8a6 6 0 0 1 12 0v2h1a1 '
    '1 0 0 1 1 1v10a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V11a1 1 0 0 1 1-1zm2 0h8V8a4 4 0 0 0-8 0z"/></svg>'
)
ICON: Final = "data:image/svg+xml;base64," + base64.b64encode(_LOCK.encode()).decode()
"""In the page itself: the icons that streamlit knows by name come from a font service."""
STYLE: Final = """<style>
.block-container {max-width: 56rem; padding-top: 2.5rem}
h1 {font-size: 2rem !important}
h2 {font-size: 1.4rem !important}
h3 {font-size: 1.1rem !important}
[data-testid="stHeader"], [data-testid="stDecoration"], [data-testid="stHeaderActionElements"] {display: none}
[data-testid="stCaptionContainer"] {opacity: 1; color: inherit}
code {overflow-wrap: anywhere}
</style>"""
"""Streamlit has no option for these: a calmer width, smaller headings, nothing that leads elsewhere, full contrast."""
_GUARD: Final = {
    "withhold": "bounds what summaries repeat of a document: words in a row, and the share of its letters that all "
    "answers to all readers repeat together.",
    "report": "only tells here what summaries repeat of a document: the policy lets them repeat all of it.",
}
_COPY: Final = """<button type="button" class="copy" data-text="{text}" aria-label="Copy the summary of {name}"
style="font:inherit;font-size:.85rem;padding:.15rem .6rem;border:1px solid currentColor;border-radius:.4rem;
background:transparent;color:inherit;cursor:pointer">Copy</button>
<script>
for (const button of document.querySelectorAll("button.copy")) {{
  button.onclick = async () => {{
    await navigator.clipboard.writeText(button.dataset.text);
    button.textContent = "Copied";
    setTimeout(() => {{ button.textContent = "Copy"; }}, 2000);
  }};
}}
</script>"""


def document_card(summary: Summary) -> None:
    """Draw one summary, what it is of, and the guard's verdict in words."""
    st.markdown(plain(summary.summary) if summary.summary else "*The disclosure guard withheld this summary.*")
    st.caption(f"{plain(facts(summary))}; **{plain(verdict(summary))}**")


def copy_button(summary: Summary) -> None:
    """Draw a button that copies a summary; the script is this page's own."""
    if summary.summary:
        text = _COPY.format(text=html.escape(summary.summary), name=html.escape(summary.document))
        st.html(text, unsafe_allow_javascript=True)


def model_facts(model: OfferedModel) -> None:
    """Draw what a model says of itself."""
    with st.expander(f"About the model {plain(model.card.name)}"):
        engine = model.engine or "loaded when somebody asks for it"
        listed = (*model.card.facts, ("Engine", engine), ("SHA-256 of the manifest", model.sha256))
        st.markdown("\n".join(f"- **{plain(label)}:** {plain(value)}" for label, value in listed))


def sign_out() -> None:
    """Draw the way out."""
    st.html('<p style="margin:0"><a href="/logout" target="_self">Sign out</a></p>')


def evidence_panel(context: Context) -> None:
    """Say what is proved to whom, and how to check it."""
    st.header("What is proved, and to whom", anchor=False)
    st.markdown(
        "- **You**, the reader: the words on this page are this page's own. What proves them is `csum open`, which "
        "checks a fresh proof of the processor before your browser sees anything, and passes on no other connection.\n"
        "- **The data owner**: their key goes only to a group with the policy that they approved; `csum verify` "
        "repeats the whole check without trusting the cluster.\n"
        f"- **The disclosure guard** {_GUARD[context.settings.guard]} It does not hide what a summary says."
    )
    if context.policy_hash:
        st.markdown("Hash of the policy that this group is bound to (host-data):")
        st.markdown(f"`{context.policy_hash}`")
    else:
        st.markdown("This process sees no policy: it does not run in a confidential container group.")
    if context.desk is None:
        st.markdown("There is no secure processor or no attestation service here, so there is no proof to show.")
        return
    st.markdown(
        "Check it from your own machine; take ADDRESS and HASH from the data owner who approved them, not from here:"
    )
    st.code(
        f"csum open https://ADDRESS --host-data HASH --attestation {context.settings.maa}\ncsum verify NAMESPACE/NAME",
        language=None,
        wrap_lines=True,
    )
    if st.button("Show what a fresh proof says"):
        _claims(context)


def _claims(context: Context) -> None:
    assert context.desk is not None  # noqa: S101  the button is drawn with a desk only
    try:
        with context.peers.admitted(visitor(), EVIDENCE):
            given = context.desk.evidence(secrets.token_urlsafe(32))
    except WorkloadError as error:
        st.error(plain(str(error)))
        return
    claims = read_claims(given, context.policy_hash, context.settings.maa or "")
    lines = [f"- **{'Yes' if claim.holds else 'No'}:** {plain(claim.meaning)}" for claim in claims]
    st.markdown("\n".join(lines))
    st.markdown("This page did not check the signature of the service; `csum verify` does.")
    st.download_button("Download the token", given.token, "token.jwt", "application/jwt", on_click="ignore")


def visitor() -> str:
    """Return the address of whoever looks at the page."""
    # On the loopback streamlit tells no address.
    return st.context.ip_address or "127.0.0.1"
