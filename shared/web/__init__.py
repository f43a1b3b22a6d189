"""HTTP with servers that are not trusted: which hosts may be asked, how long, and what their answers cost.

Every room but core may ask it.
"""
