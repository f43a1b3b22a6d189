"""A Dev Center of one's own: a real HTTP server that speaks the documented and the observed shapes of the API.

`catalogue` holds what it knows (reports, failures, cabs), `builder` makes that up, `sources` keeps the bytes in
storage, `batch` and `reports` answer the API's calls, `faults` makes them fail on demand, `server` puts it together.
"""
