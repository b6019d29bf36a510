# Notes when a znode's text changes, with kazoo.
import time

from kazoo.client import KazooClient


def connect(servers):
    client = KazooClient(hosts=servers, timeout=10.0)
    client.start(timeout=20)
    seen = []

    def watch(path):
        def changed(data, stat):
            seen.append([time.time(), None if stat is None else data.decode()])

        client.DataWatch(path, changed)

    return {"watch": watch, "seen": lambda: seen}


serve(connect)
