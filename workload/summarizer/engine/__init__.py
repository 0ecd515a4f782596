"""The two summarization engines, and the choice between them."""
