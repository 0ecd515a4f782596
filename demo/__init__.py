"""The demo: two parties, the product's images and its operator, on the sandbox. `make demo` runs it."""
