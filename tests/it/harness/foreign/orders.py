# Goes before each program: it does the orders of standard input, in JSON a line, with what `connect(servers)` gives. For
# Python 2 as well.
import json
import os
import sys

# Whatever a library prints is not among the answers.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def answer(**what):
    answers.write(json.dumps(what) + "\n")
    answers.flush()


def serve(connect):
    try:
        deeds = connect(sys.argv[1])
    except Exception as error:
        answer(ok=False, error=repr(error))
        os._exit(1)
    answer(ok=True)
    for line in iter(sys.stdin.readline, ""):
        order = json.loads(line)
        try:
            answer(ok=True, found=deeds[order.pop("op")](**order))
        except Exception as error:
            answer(ok=False, error=repr(error))
    # Threads of libraries do not keep it.
    os._exit(0)
