"""The local counterpart, without a network: archives, pages, report files, faults."""
