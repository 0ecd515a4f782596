"""The JSON objects of the API, as models: what is sent, what is taken, and what the OpenAPI document says of both."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from summarizer.guard import Verdict
from summarizer.jobs import JobState, Length
from summarizer.progress import State


class Body(BaseModel):
    """A JSON object with names in camelCase; closed."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid", frozen=True)


class ModelName(Body):
    """The default model, for those who have no token."""

    name: str
    manifest: Annotated[str, Field(description="SHA-256 of the model's manifest.")]
    notice: str


class Counts(Body):
    """How many documents there are."""

    found: Annotated[int, Field(description="Documents that can be read.")]
    summarized: Annotated[int, Field(description="Of these, how many the default model has summarized.")]
    skipped: Annotated[int, Field(description="Other files.")]
    unreadable: int
    versions: Annotated[dict[str, int], Field(description="The version that its owner signed, by file system.")]


class Shard(Body):
    """How far one shard of a batch is. Counts are of documents."""

    index: int
    shards: int
    total: Annotated[int, Field(description="Documents of the file systems that this shard reads.")]
    documents: Annotated[int, Field(description="Documents of this shard.")]
    done: Annotated[int, Field(description="Documents of this shard that have a result.")]
    refused: Annotated[int, Field(description="Results of this start that say only why a document cannot be read.")]
    failed: Annotated[int, Field(description="Documents whose summary could not be made.")]
    per_minute: Annotated[float, Field(description="Results a minute since the start.")]


class Status(Body):
    """Where the summarizer stands."""

    state: State
    reason: str
    profile: Literal["Restricted", "Debug"]
    model: ModelName | None
    engine: str | None
    documents: Counts
    shard: Annotated[Shard | None, Field(description="In a batch.")] = None


class GuardReport(Body):
    """What the disclosure guard found."""

    verdict: Verdict
    longest_run: Annotated[int, Field(description="Words in a row that the summary shares with the document.")]
    limit: int


class Summary(Body):
    """One guarded summary."""

    number: int
    document: Annotated[str, Field(description="What stands for the document: its name, or `Document N`.")]
    file_system: Annotated[str, Field(description="The file system that the document lies in.")]
    model: str
    length: Length
    summary: str
    words: int
    source_words: int
    unread_parts: Annotated[int, Field(description="Scanned pages and attachments that the summary does not cover.")]
    seconds: float
    finished: datetime
    guard: GuardReport


class UnreadableDocument(Body):
    """A document without a summary."""

    number: int
    document: str
    file_system: str
    reason: str


class Summaries(Status):
    """Where the summarizer stands, and the summaries."""

    summaries: list[Summary]
    unreadable: list[UnreadableDocument]


class Document(Body):
    """One document, without any of its text."""

    number: int
    document: str
    file_system: str
    kind: str
    words: int
    unread_parts: int
    reason: Annotated[str | None, Field(description="Why it cannot be read.")]


class Documents(Body):
    """The documents."""

    documents: list[Document]


class Model(Body):
    """One model that can be asked for."""

    name: str
    title: str
    notice: str
    facts: dict[str, str]
    manifest: Annotated[str, Field(description="SHA-256 of the model's manifest.")]
    loaded: bool
    default: bool


class LengthWords(Body):
    """One length that can be asked for."""

    name: Length
    words: Annotated[int, Field(description="Most words of a summary.")]


class Models(Body):
    """The models and lengths that can be asked for."""

    models: list[Model]
    lengths: list[LengthWords]


class Ask(Body):
    """What to summarize."""

    documents: Annotated[
        list[int] | Literal["all"], Field(description="Numbers, or `all` that can be read.", max_length=1000)
    ] = "all"
    file_system: Annotated[str | None, Field(description="Only documents of this file system.", max_length=63)] = None
    models: Annotated[
        list[str] | None, Field(description="Names of models; the default one if none is named.", max_length=16)
    ] = None
    length: Length = Length.LONG


class Failure(Body):
    """Why a summary was not made."""

    number: int
    model: str
    length: Length
    reason: str


class Job(Body):
    """A job."""

    id: str
    state: JobState
    summaries: Annotated[int, Field(description="How many were asked for.")]
    done: int
    failed: list[Failure]
    created: datetime


class JobList(Body):
    """The jobs of readers."""

    jobs: list[Job]


class Answered(Body):
    """A job, and the summaries it has so far."""

    job: Job
    summaries: list[Summary]


class Evidence(Body):
    """A fresh attestation token, and what it vouches for."""

    token: Annotated[str, Field(description="Signed by the attestation service (JWT).")]
    runtime_data: Annotated[str, Field(description="Base64 of the JSON with nonce and channel key that it holds.")]


class Health(Body):
    """The process serves."""

    status: Literal["ok"]


class Readiness(Body):
    """Where it stands."""

    state: State


class Error(Body):
    """Why there is no answer, and what to do."""

    error: str


def as_json(body: Body) -> dict[str, Any]:
    """Return a body in the form that is sent."""
    return body.model_dump(mode="json", by_alias=True)
