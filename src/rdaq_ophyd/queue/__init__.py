"""bluesky-queueserver on the profile of a rig: ``rdaq queue``.

Queue, history, users and permissions are queueserver's own. Here is what ties it to a rig: its worker process runs a
session, its manager respects the stop latch and notices the death of the worker, and a supervisor starts and ends both.
"""
