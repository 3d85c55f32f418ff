"""The sans-IO core: no sockets, no clock, no files, no third-party package.

Everything it needs of the outside (JSON text in and out, time, ids) is handed in with the plan or the call.
"""
