"""One who takes a lock of kazoo's, or holds ours: writes the time into a file again and again while it does.

lock_driver.py hold FILE SECONDS                     as the command of `zonekeeper lock`
lock_driver.py lock|semaphore|nd SERVERS PATH FILE SECONDS   with kazoo, of two leases
"""
import os
import signal
import sys
import time


def hold(path, seconds, note=""):
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(time.time()))
    with open(path, "a", buffering=1) as file:
        if note:
            file.write("# %s\n" % note)
        end = time.time() + seconds
        while time.time() < end:
            file.write("%.4f\n" % time.time())
            if told:
                file.write("# told %.4f\n" % told.pop())
                if os.environ.get("STUBBORN") is None:
                    return
            time.sleep(0.01)


kind, arguments = sys.argv[1], sys.argv[2:]
if kind == "hold":
    hold(arguments[0], float(arguments[1]), "zxid %s pid %d" % (os.environ.get("ZONEKEEPER_LOCK_ZXID"), os.getpid()))
    sys.exit(0)

servers, path, name, seconds = arguments[0], arguments[1], arguments[2], float(arguments[3])
if kind == "nd":
    from nd_service_registry import KazooServiceRegistry

    registry = KazooServiceRegistry(server=servers, timeout=20, rate_limit_calls=None)
    lock = registry.get_lock(path, simultaneous=2, wait=0)
    # It tries once and then only waits: its users ask again.
    while not lock.acquire():
        time.sleep(0.02)
    hold(name, seconds)
    lock.release()
    os._exit(0)
from kazoo.client import KazooClient

client = KazooClient(hosts=servers, timeout=4.0)
client.start(timeout=30)
lock = client.Lock(path, os.path.basename(name)) if kind == "lock" else client.Semaphore(path, os.path.basename(name), 2)
with lock:
    hold(name, seconds)
client.stop()
