"""What is measured, a module a section of results.md; each has `run`, which makes the section."""
