"""
The local model's own process: serves one .gguf file on 127.0.0.1 until its parent is gone.

`nbsessions.adapters.local` runs this file as a script, so that it imports nothing but xllamacpp:
``python -P _llama_server.py MODEL PARENT``, with the key in the environment. It says ``listening ADDRESS``
on stdout, stays as long as stdin is open, and is silent from then on.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress


def _leave_with(parent: int) -> None:
    # stdin alone is not enough: a fork of the parent may hold its other end open.
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _main() -> None:
    # Told, not asked: the parent may be gone before this line.
    threading.Thread(target=_leave_with, args=(int(sys.argv[2]),), daemon=True).start()

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.hostnames, params.port, params.ui = ["127.0.0.1"], 0, False
    params.api_keys = [os.environ.pop("NBSESSIONS_LLAMA_KEY")]
    params.offline, params.verbosity = True, -1
    params.n_ctx, params.n_parallel = 8192, 1
    # A request that was hung up on is noticed between two batches: about a second with these.
    params.n_batch = params.n_ubatch = 128
    # Otherwise a long session is read anew, for 30 s, each time that its oldest message is dropped.
    params.n_cache_reuse = 64
    # Threads that wait for each other spin: on a busy machine two threads on two cores gave 0.2
    # tokens a second where one gave 38. So half the cores stay free.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = max(1, min(4, _cores() // 2))
    # The default keeps up to 8 GB of earlier prompts in memory.
    params.cache_ram_mib = 0
    server = xllamacpp.Server(params)

    with suppress(BrokenPipeError):  # nobody is there to be told, and stdin says so, too
        os.write(1, f"\nlistening {server.listening_address}\n".encode())
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.read(0, 1)
    os._exit(0)


if __name__ == "__main__":
    _main()
