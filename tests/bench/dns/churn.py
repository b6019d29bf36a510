#!/usr/bin/python3
"""What changes of the registry cost those who ask: CPU time per query, with and without changes, in turns.

usage: churn.py --zookeeper HOST:PORT --tree services.tree --fill
       churn.py --zookeeper HOST:PORT --tree services.tree --port PORT --pid PID [--rate 1000] [options of compare.py]

The first puts the registry of gen.py into a ZooKeeper. The second sets the data of its instances at a rate while queries
come as fast as they are answered; in every other run it sets znodes that nobody watches instead, so that ZooKeeper, its
writer and the generator do the same and only the server's work differs.

"readers" is the CPU time a query of the threads that answer over UDP, "others" that of all other threads a change: decoding,
building and compiling what changed is not the readers' work, but it is work. "commits" are the versions of the zone that
were made, from its serial: what comes within a few milliseconds becomes one. Runs on /usr/bin/python3, whose kazoo is Debian's.
"""
import argparse, os, random, re, statistics as st, subprocess, threading, time
from kazoo.client import KazooClient
from compare import cpu, load, pin

def tree(file):
    """The paths of a tree text, parents first."""
    stack, paths = [], []
    for line in open(file):
        depth = (len(line) - len(line.lstrip())) // 2
        stack[depth:] = [line.strip()]
        paths.append("".join(stack))
    return paths

def fill(client, paths):
    client.ensure_path("/elsewhere")
    for first in range(0, len(paths), 200):
        batch = client.transaction()
        for path in paths[first:first + 200]:
            batch.create(path, b"")
        batch.commit()
    elsewhere = client.transaction()
    for i in range(100):
        elsewhere.create(f"/elsewhere/{i}", b"")
    elsewhere.commit()

def readers(pid):
    """CPU seconds of the threads that answer over UDP."""
    ns = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        if open(f"/proc/{pid}/task/{tid}/comm").read().strip() == "dns-udp":
            ns += int(open(f"/proc/{pid}/task/{tid}/schedstat").read().split()[0])
    return ns / 1e9

def serial(port):
    soa = subprocess.run(["dig", "+short", "@127.0.0.1", "-p", str(port), "service.", "SOA"], capture_output=True, text=True)
    return int(soa.stdout.split()[2])

class Writer(threading.Thread):
    """Sets the data of znodes at a rate until told to stop."""
    def __init__(self, client, paths, rate):
        super().__init__(daemon=True)
        self.client, self.paths, self.rate, self.written, self.over = client, paths, rate, 0, False
    def run(self):
        r, begun, replies = random.Random(), time.monotonic(), []
        while not self.over:
            for _ in range(int((time.monotonic() - begun) * self.rate) - len(replies)):
                data = b'{"weight": %d}' % r.randrange(1, 60000)
                replies.append(self.client.set_async(r.choice(self.paths), data))
            time.sleep(0.002)
        for reply in replies:
            reply.get(timeout=30)
        self.written, self.took = len(replies), time.monotonic() - begun

def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("--zookeeper", required=True)
    p.add_argument("--tree", required=True)
    p.add_argument("--fill", action="store_true")
    p.add_argument("--port", type=int)
    p.add_argument("--pid", type=int)
    p.add_argument("--rate", dest="changes", type=int, default=1000)
    p.add_argument("--queries", default="queries.txt")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--secs", type=float, default=3)
    p.add_argument("--blast", default=os.environ.get("BLAST", "blast"))
    a = p.parse_args()
    client = KazooClient(a.zookeeper)
    client.start()
    paths = tree(a.tree)
    if a.fill:
        fill(client, paths)
        return
    a.gen, a.gen_cpu, a.sockets, a.window, a.no_edns, a.rate, a.cookie = "blast", "1", 12, 16, False, 0, False
    pin(a.pid, "0")
    os.sched_setaffinity(0, {1})
    instances = [path for path in paths if ":" in path]
    elsewhere = [f"/elsewhere/{i}" for i in range(100)]
    rows = {"quiet": [], "changes": []}
    for r in range(a.rounds):
        for kind in list(rows) if r % 2 == 0 else list(rows)[::-1]:
            writer = Writer(client, instances if kind == "changes" else elsewhere, a.changes)
            writer.start()
            time.sleep(0.3)
            s0, t0, c0, r0 = serial(a.port), time.monotonic(), cpu(a.pid)[0], readers(a.pid)
            ok, secs, lost, size, p50, p99 = load(a, a.port)
            took, c1, r1, s1 = time.monotonic() - t0, cpu(a.pid)[0], readers(a.pid), serial(a.port)
            writer.over = True
            writer.join()
            changes = writer.written / writer.took
            others = (c1 - c0 - r1 + r0) / took / changes
            rows[kind].append(dict(qps=ok / secs, readers=(r1 - r0) / ok * 1e6, others=others * 1e6, lost=lost / (ok + lost),
                size=size, changes=changes if kind == "changes" else 0, commits=(s1 - s0) % 2**32 / took))
    # Round by round, as in compare.py.
    ratio = lambda kind: st.median(x["readers"] / y["readers"] for x, y in zip(rows["quiet"], rows[kind]))
    print(f"{'registry':10} {'kq/s':>7} {'readers us':>10} {'spread':>13} {'ratio':>6} {'others us':>9} {'lost%':>6} {'bytes':>6} {'changes/s':>9} {'commits/s':>9}")
    for kind, runs in rows.items():
        m = lambda k: st.median(x[k] for x in runs)
        us = [x["readers"] for x in runs]
        print(f"{kind:10} {m('qps')/1e3:7.1f} {m('readers'):10.3f} {min(us):6.3f}-{max(us):6.3f} {ratio(kind):6.3f} {m('others'):9.1f} {100*m('lost'):6.2f} {m('size'):6.0f} {m('changes'):9.0f} {m('commits'):9.0f}")

main()
