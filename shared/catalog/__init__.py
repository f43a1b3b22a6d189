"""The catalog: a row for each cab, as Parquet files beside the cabs, for whoever asks questions about many of them.

The pull tells it what came, the reconcile makes it anew; services.py, which puts everything together, may ask it too.
"""
