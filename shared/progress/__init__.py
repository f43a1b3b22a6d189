"""What the app knows of its work: the tables of pulls, cabs, reports, failures and health, the circuit, and the queue.

Cabs, pulls, reports and what stands above them may ask it.
"""

TABLES = ("reports", "pulls", "cabs", "failures", "health")
