"""Where a blueprint runs: each target renders it (pure), applies it and observes what became of it."""
