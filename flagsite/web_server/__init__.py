"""The web server: a main process that keeps web processes running, each with one event loop and some threads.

It knows nothing of Django and of flags. docs/decisions/0008 says why Flagsite brings its own.
"""
