"""From a URL into the container: the source, the copy, the blob and its labels.

The pull and what stands above it may ask it.
"""
