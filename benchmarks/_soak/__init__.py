"""The soak: a daemon on simulated instruments with clients of all kinds, and what must hold afterwards.

``python -m benchmarks soak --minutes 10``. Its clients are in :mod:`benchmarks._soak.clients`, one function each.
"""
