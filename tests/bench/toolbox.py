#!/usr/bin/env python3
"""Time the registry commands on a tree of 100,001 znodes, over a real ZooKeeper 3.8 and 3.4.

usage: toolbox.py [--rounds N] [--zonekeeper PATH]

Imports 10,000 services of 8 providers, exports them as text and as JSON, trims all but the top, imports them again and
deletes all; N times (default 3) over each server. Prints seconds and peak memory of each command as a whole process,
medians, and of what is written the znodes a second. Needs the Debian packages zookeeper and default-jre-headless, and the
jars of tests/fetch-zookeepers under target.
"""
import argparse, os, shutil, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(TOP, "target"))
SYSTEM = "/usr/share/java/"
JARS = {
    "3.8": [SYSTEM + jar + ".jar" for jar in ("zookeeper", "slf4j-simple", "netty-codec", "netty-resolver")],
    "3.4": [os.path.join(TARGET, "zookeepers/3.4/usr/share/java/zookeeper.jar")]
    + [SYSTEM + jar + ".jar" for jar in ("slf4j-api", "slf4j-simple", "log4j-1.2")],
}
SERVICES, PROVIDERS = 10_000, 8
ZNODES = 1 + SERVICES * (2 + PROVIDERS)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def server(release, directory):
    """Starts a ZooKeeper; returns its process and address once it answers."""
    port = free_port()
    with open(os.path.join(directory, "zoo.cfg"), "w") as config:
        config.write(f"dataDir={directory}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\n")
        config.write("maxClientCnxns=0\nadmin.enableServer=false\n")
    missing = [jar for jar in JARS[release] if not os.path.exists(jar)]
    if missing:
        sys.exit(f"toolbox.py: {missing[0]} is missing: see tests/fetch-zookeepers and the package zookeeper")
    command = ["java", "-Xmx1g", "-Dzookeeper.forceSync=no", "-cp", ":".join(JARS[release])]
    command += ["org.apache.zookeeper.server.quorum.QuorumPeerMain", os.path.join(directory, "zoo.cfg")]
    log = open(os.path.join(directory, "log"), "w")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    for _ in range(300):
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(b"srvr")
                if b"Mode:" in connection.recv(10_000):
                    return process, f"127.0.0.1:{port}"
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"toolbox.py: ZooKeeper {release} does not start: see {log.name}")


def timed(command, output):
    """Runs a command; returns its seconds and the most memory it had, in MB."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"toolbox.py: {' '.join(command)} failed")
    return time.monotonic() - begun, usage.ru_maxrss / 1024


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--zonekeeper", default=os.path.join(TARGET, "release/zonekeeper"))
    options = options.parse_args()
    for release in JARS:
        directory = tempfile.mkdtemp(prefix="toolbox-")
        text, top, out = (os.path.join(directory, name) for name in ("text", "top", "out"))
        with open(top, "w") as file:
            file.write("/services\n")
        with open(text, "w") as file:
            file.write("/services\n")
            for service in range(SERVICES):
                file.write(f"  /svc_{service}\n    owner = 'team{service % 9}'\n    /providers\n")
                for provider in range(PROVIDERS):
                    address = f"10.{service // 250}.{service % 250}.{provider + 1}:8080"
                    weight = service * 7 % 99 + provider
                    file.write(f"      /{address}\n        weight = {weight}\n        version = '1.{provider}'\n")
        process, address = server(release, directory)
        steps = [
            ("import", ["import", text], ZNODES),
            ("export", ["export", "/services"], 0),
            ("export --json", ["export", "--json", "/services"], 0),
            ("import --trim", ["import", "--trim", top], ZNODES - 1),
            ("import, the top being there", ["import", text], ZNODES - 1),
            ("rm -r", ["rm", "-r", "--yes", "/services"], ZNODES),
        ]
        seen = {name: [] for name, _, _ in steps}
        try:
            for _ in range(options.rounds):
                for name, arguments, _ in steps:
                    command = [options.zonekeeper, "registry", "--zookeeper", address, *arguments]
                    with open(out, "w") as output:
                        seen[name].append(timed(command, output))
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(directory)
        print(f"ZooKeeper {release}, {ZNODES} znodes, medians of {options.rounds}")
        for name, _, written in steps:
            seconds = statistics.median(seconds for seconds, _ in seen[name])
            memory = max(memory for _, memory in seen[name])
            rate = f", {written / seconds:,.0f} znodes a second" if written else ""
            print(f"  {name}: {seconds:.2f} s, at most {memory:.0f} MB{rate}")


main()
