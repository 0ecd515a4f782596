"""What a policy says about the text itself, in words: which files are read, how much may be shown, who gets results.

Read from the policy and not from the resource: the policy is what the guest enforces.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from confidential_summarizer.blueprint import REMOTE_PATH
from confidential_summarizer.policy.document import PolicyDocument


def terms(document: PolicyDocument) -> Iterator[str]:
    """Say what the summarizers of a policy read and show, one sentence a line; none for a policy of something else."""
    yield from files_read(document)
    yield from what_is_shown(document)
    yield from results_written(document)
    yield from work_that_ends(document)


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
        for place, told in document_sets(variables["SUMMARIZER_DOCUMENTS"]).items():
            if "output" in told:
                yield (
                    f"results of {file_system(place)} are written to {told['output']}, encrypted to "
                    f"{told.get('recipient')}: whoever has that key reads them."
                )


def work_that_ends(document: PolicyDocument) -> Iterator[str]:
    """Say of a batch that there is no page, and what its groups do instead."""
    for variables in _summarizers(document):
        if "SUMMARIZER_SHARDS" in variables:
            by_file_system = variables.get("SUMMARIZER_SHARD_BY") == "FileSystem"
            part = "the documents of one file system" if by_file_system else "its part of all documents"
            yield f"there is no page: each of {variables['SUMMARIZER_SHARDS']} shards summarizes {part} once, and ends."


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


def document_sets(argument: str) -> Mapping[str, Mapping[str, Any]]:
    """Return what the summarizer is told of each file system with documents, by its directory."""
    try:
        entries = json.loads(argument)
        return {str(entry["directory"]): {k: v for k, v in entry.items() if k != "directory"} for entry in entries}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"(unreadable)": {}}


def file_system(place: str) -> str:
    """Return the name of the file system that appears at a place."""
    return place.rpartition("/")[2]


def _content(variables: Mapping[str, str]) -> Iterator[str]:
    for place, told in document_sets(variables["SUMMARIZER_DOCUMENTS"]).items():
        what = f"documents in {file_system(place)}"
        if "sha256" in told:
            yield f"{what} are pinned: only files with contentSHA256 {told['sha256']}."
        elif "key" in told:
            yield (
                f"{what} are signed: any files that contentKey {told['key']} signed, from version "
                f"{told.get('minVersion')} on."
            )
        else:
            yield f"{what} are not pinned: whoever writes the blob can replace them."
    models, place = variables.get("SUMMARIZER_MODELS_SHA256"), variables.get("SUMMARIZER_MODELS_DIRECTORY", "")
    if models is not None:
        yield f"models are pinned: only files with contentSHA256 {models}."
    elif place.startswith(REMOTE_PATH):
        yield "models are not pinned: whoever writes the blob can replace them."


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
