"""OpenFeature's Manifest API: the flags as its command line tool reads and writes them, to generate typed code.

The protocol is api/v0/sync.yaml of https://github.com/open-feature/cli, version 0.1.0.
"""
