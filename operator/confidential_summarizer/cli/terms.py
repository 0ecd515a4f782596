"""What a policy says about the text itself, in words: which files are read, how much may be shown, who gets results.

Read from the policy and not from the resource: the policy is what the guest enforces.
"""

from collections.abc import Iterator, Mapping

from confidential_summarizer.blueprint import REMOTE_PATH
from confidential_summarizer.policy.document import PolicyDocument


def terms(document: PolicyDocument) -> Iterator[str]:
    """Say what the summarizers of a policy read and show, one sentence a line; none for a policy of something else."""
    yield from files_read(document)
    yield from what_is_shown(document)
    yield from results_written(document)


def files_read(document: PolicyDocument) -> Iterator[str]:
    """Say which files the summarizers take, whoever writes the blobs."""
    for variables in _summarizers(document):
        yield from _content(variables)


def what_is_shown(document: PolicyDocument) -> Iterator[str]:
    """Say how much of a document its summaries may repeat."""
    for variables in _summarizers(document):
        yield _guard(variables)


def results_written(document: PolicyDocument) -> Iterator[str]:
    """Say where results are written, and who can read them there."""
    for variables in _summarizers(document):
        if "SUMMARIZER_OUTPUT" in variables:
            yield (
                f"results are written to {variables['SUMMARIZER_OUTPUT']}, encrypted to "
                f"{variables['SUMMARIZER_OUTPUT_RECIPIENT']}: whoever has that key reads them."
            )


def unpinned(document: PolicyDocument) -> tuple[str, ...]:
    """Return the sentences about files that whoever writes the blob can replace."""
    return tuple(line for line in files_read(document) if "not pinned" in line)


def unguarded(document: PolicyDocument) -> tuple[str, ...]:
    """Return the sentences about summarizers whose summaries may repeat all of a document."""
    return tuple(_guard(variables) for variables in _summarizers(document) if not _withholds(variables))


def _summarizers(document: PolicyDocument) -> Iterator[Mapping[str, str]]:
    for container in document.containers:
        variables = dict(rule.pattern.partition("=")[::2] for rule in container.env_rules if rule.strategy == "string")
        if "SUMMARIZER_DOCUMENTS" in variables:
            yield variables


def _content(variables: Mapping[str, str]) -> Iterator[str]:
    for what, prefix, place in (
        ("documents", "SUMMARIZER_DOCUMENTS", "SUMMARIZER_DOCUMENTS"),
        ("models", "SUMMARIZER_MODELS", "SUMMARIZER_MODELS_DIRECTORY"),
    ):
        if f"{prefix}_SHA256" in variables:
            yield f"{what} are pinned: only files with contentSHA256 {variables[f'{prefix}_SHA256']}."
        elif f"{prefix}_KEY" in variables:
            yield (
                f"{what} are signed: any files that contentKey {variables[f'{prefix}_KEY']} signed, from version "
                f"{variables[f'{prefix}_MIN_VERSION']} on."
            )
        elif variables.get(place, "").startswith(REMOTE_PATH):
            yield f"{what} are not pinned: whoever writes the blob can replace them."


def _withholds(variables: Mapping[str, str]) -> bool:
    return variables.get("SUMMARIZER_GUARD") == "withhold"


def _guard(variables: Mapping[str, str]) -> str:
    words = f"a summary has {variables.get('SUMMARIZER_MAX_WORDS', 'no limit of')} words at most"
    if not _withholds(variables):
        return f"copying is not bounded: {words}, and may be the document word for word; the page only says so."
    return (
        f"copying is bounded: {words}; it repeats at most {variables.get('SUMMARIZER_GUARD_RUN')} words in a row, and "
        f"all of a document's summaries at most {variables.get('SUMMARIZER_GUARD_SHARE')} % of it; documents under "
        f"{variables.get('SUMMARIZER_GUARD_SHORTEST')} letters get none. Paraphrases are not bounded."
    )
