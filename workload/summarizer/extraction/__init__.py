"""Plain text out of documents, each in a process of its own: a document is hostile input beside a key."""
