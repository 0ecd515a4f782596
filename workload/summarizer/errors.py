"""Every error that the workload raises on purpose.

```
WorkloadError
├── ConfigurationError    an environment variable is missing, unknown or out of range
├── ModelError            the model directory cannot be used as it is
│   └── ManifestError     a file of it is missing, extra or not what its SHA-256 manifest says
├── ContentError          storage serves a link, a special file, or something else than what is pinned
├── DocumentsError        the documents did not appear, or cannot be read
├── OutputError           a result cannot be written for the owner
├── EvidenceError         there is no evidence to be had
├── Busy                  too many ask at the same time
├── NotOffered            a reader asks for a document or model that is not there
├── UnknownJob            there is no such job
├── NotYours              a reader wants to end what another one asked for
└── Cancelled             nobody waits for this work any more
```

A message names the object, the cause and the next step. It never holds text of a document or of a summary,
because the page, the API and the logs show it.
"""


class WorkloadError(Exception):
    """The root of the tree; catch it to tell our own errors from bugs."""


class ConfigurationError(WorkloadError):
    """An environment variable is missing, unknown or out of range."""


class ModelError(WorkloadError):
    """The model directory cannot be used as it is."""


class ManifestError(ModelError):
    """A file of the model is missing, extra or not what its manifest says."""


class ContentError(WorkloadError):
    """Storage serves a link, a special file, too much, or something else than what the policy pins."""


class DocumentsError(WorkloadError):
    """The documents did not appear before the deadline, or cannot be read."""


class OutputError(WorkloadError):
    """A result cannot be written for the owner."""


class EvidenceError(WorkloadError):
    """There is no evidence to be had."""


class Busy(WorkloadError):
    """Too many ask at the same time."""


class NotOffered(WorkloadError):
    """A reader asks for a document or a model that is not there."""


class UnknownJob(WorkloadError):
    """There is no such job, or no more."""


class NotYours(WorkloadError):
    """A reader wants to end what another one asked for."""


class Cancelled(WorkloadError):
    """Nobody waits for this work any more."""
