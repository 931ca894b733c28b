"""The other side of `gradus-bench peers`: `peer.py LIBRARY THREADS` answers requests, one JSON object a line.

    {"do": "setup", "workload": NAME, "file": PATH}   {"variants": [NAME, ...]}, none if the library does not have it
    {"do": "check"}                                   {VARIANT: {NAME: [NUMBER, ...], ...}, ...}
    {"do": "time", "variant": NAME, "repeat": N}      {"seconds": of one unit of work}

The first line is {"ready": VERSION}, or {"missing": REASON} if the library is not installed. What fails is answered
by {"error": TRACEBACK}.
"""

import gc
import importlib
import json
import math
import os
import sys
import time
import traceback
import warnings


class Variant:
    """One way to do the work: `check()` starts from the initial values and gives numbers to compare, `run(n)` does it
    `n` times, each of `units` units of work."""

    def __init__(self, check, run, units=1):
        self.check, self.run, self.units = check, run, units


def main(library, threads):
    # What libraries print goes to the errors, so that it is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")

    def answer(value):
        print(json.dumps(value), file=answers, flush=True)

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    try:
        importlib.import_module(library)
    except ImportError as problem:
        return answer({"missing": str(problem)})
    peer = importlib.import_module(f"{library}_peer")
    answer({"ready": peer.start(threads)})

    variants = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "setup":
                variants = None
                gc.collect()
                build = peer.WORKLOADS.get(request["workload"])
                variants = build(peer.read(request["file"])) if build else {}
                answer({"variants": list(variants)})
            elif request["do"] == "check":
                answer({name: variant.check() for name, variant in variants.items()})
            else:
                variant = variants[request["variant"]]
                calls = math.ceil(request["repeat"] / variant.units)
                start = time.perf_counter_ns()
                variant.run(calls)
                passed = time.perf_counter_ns() - start
                answer({"seconds": passed * 1e-9 / (calls * variant.units)})
        except Exception:
            answer({"error": traceback.format_exc()})


if __name__ == "__main__":
    sys.modules["peer"] = sys.modules["__main__"]
    main(sys.argv[1], int(sys.argv[2]))
