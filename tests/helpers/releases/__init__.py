"""Small made releases of benchmarks, each in the exact layout of the official one. Contents are made up.

Every module has RELEASES: name of the task -> a function that writes its release into a folder.
"""
