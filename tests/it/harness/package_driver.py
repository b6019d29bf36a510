"""Goes through the life of the Debian package in a clean root, in namespaces of its own:

    unshare --mount --net --pid --fork --kill-child --mount-proc package_driver.py ROOT.tar DIRECTORY CLASSPATH DEB NEW_DEB

Installs it, puts a ZooKeeper into the configuration, starts it by the unit's command line as an unprivileged user,
upgrades it under load, goes back, and purges it. Says what it sees, a line each; fails with what is wrong.
"""

import multiprocessing
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

tar, directory, classpath, deb, new_deb = sys.argv[1:6]
root = os.path.join(directory, "root")
USER = "61184"
NODES = ["/services/api_x/providers/10.9.9.9:8080", "/services/web/providers/10.9.9.9:80"]
QUERY = b"\x01\0\0\x01\0\0\0\0\0\0\x05api_x\x07service\0\0\x21\0\x01"
# What dpkg itself writes.
DPKG = ("var/lib/dpkg", "var/log", "var/cache/debconf", "var/cache/ldconfig", "tmp")


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def inside(*command):
    return run("chroot", root, *command, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"})


def until(what, probe, patience=30):
    begun = time.monotonic()
    while time.monotonic() - begun < patience:
        found = probe()
        if found:
            return found
        time.sleep(0.05)
    sys.exit(f"not within {patience} s: {what}\n{log()}")


def log():
    with open(os.path.join(directory, "log"), encoding="utf-8") as file:
        return file.read()


def files():
    found = set()
    for base, directories, names in os.walk(root):
        below = os.path.relpath(base, root)
        if below.startswith(DPKG) or below.startswith(("proc", "dev")):
            directories.clear()
            continue
        found.update(os.path.join(below, name) for name in names + directories)
    return found


def start_zookeeper():
    data = os.path.join(directory, "zookeeper")
    os.makedirs(data)
    config = os.path.join(directory, "zoo.cfg")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"dataDir={data}\nclientPort=2181\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\ntickTime=500\n")
    server = ["java", "-Xmx256m", "-cp", classpath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", config]
    subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = KazooClient("127.0.0.1:2181")
    client.start(timeout=60)
    return client


def ask(stop, outcome):
    """A thousand queries a second by sixteen clients; late answers count, as resolvers wait for seconds."""
    clients = []
    for _ in range(16):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.connect(("127.0.0.1", 53))
        client.setblocking(False)
        clients.append(client)
    begun, sent, good, bad, last = time.monotonic(), 0, 0, [], time.monotonic()
    while not stop.is_set() or (good + len(bad) < sent and time.monotonic() - last < 5):
        while not stop.is_set() and (time.monotonic() - begun) * 1000 > sent:
            clients[sent % 16].send((sent % 60000).to_bytes(2, "big") + QUERY)
            sent, last = sent + 1, time.monotonic()
        for client in clients:
            while True:
                try:
                    answer = client.recv(1500)
                except BlockingIOError:
                    break
                if answer[3] & 15 == 0 and answer[6:8] != b"\0\0":
                    good += 1
                else:
                    bad.append(answer[3] & 15)
        time.sleep(0.0005)
    outcome.put((sent, good, bad))


def look(stop, outcome):
    client = KazooClient("127.0.0.1:2181")
    client.start()
    looks, absent = 0, []
    while not stop.is_set():
        for node in NODES:
            looks += 1
            if not client.exists(node):
                absent.append(node)
        time.sleep(0.003)
    client.stop()
    outcome.put((looks, absent))


def under_load(work):
    stop, asked, looked = multiprocessing.Event(), multiprocessing.Queue(), multiprocessing.Queue()
    parts = [multiprocessing.Process(target=ask, args=(stop, asked)), multiprocessing.Process(target=look, args=(stop, looked))]
    for part in parts:
        part.start()
    time.sleep(1)
    work()
    time.sleep(2)
    stop.set()
    sent, good, bad = asked.get(timeout=30)
    looks, absent = looked.get(timeout=30)
    for part in parts:
        part.join()
    if sent < 2000 or good != sent or looks < 100 or absent:
        sys.exit(f"{good} of {sent} queries answered well ({bad}); absent at {len(absent)} of {looks} looks\n{log()}")
    return f"{sent} queries, 0 lost; {looks} looks, 0 absent"


def unit(key):
    with open(f"{root}/usr/lib/systemd/system/zonekeeper.service", encoding="utf-8") as file:
        return re.search(rf"^{key}=(.*)$", file.read(), re.MULTILINE).group(1)


def serve():
    """Does what systemd does for the unit."""
    environment = {"PATH": "/usr/bin:/bin"}
    for key, base in (("StateDirectory", "var/lib"), ("CacheDirectory", "var/cache"), ("RuntimeDirectory", "run")):
        name = unit(key)
        os.makedirs(f"{root}/{base}/{name}", exist_ok=True)
        os.chown(f"{root}/{base}/{name}", int(USER), int(USER))
        environment[re.sub("(?=D)", "_", key, count=1).upper()] = f"/{base}/{name}"
    capability = unit("AmbientCapabilities").removeprefix("CAP_").lower()
    identity = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--no-new-privs"]
    rights = ["--inh-caps", f"-all,+{capability}", "--ambient-caps", f"-all,+{capability}", "--bounding-set", f"-all,+{capability}"]
    command = ["/usr/sbin/chroot", root, *identity, *rights, *shlex.split(unit("ExecStart"))]
    with open(os.path.join(directory, "log"), "a", encoding="utf-8") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, env=environment)


def dig():
    command = ["dig", "@127.0.0.1", "+short", "+tries=1", "+time=2", "SRV", "api_x.service"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def main():
    run("ip", "link", "set", "lo", "up")
    os.makedirs(root)
    run("tar", "-xf", tar, "-C", root)
    for kind in ("proc", "dev"):
        os.makedirs(f"{root}/{kind}", exist_ok=True)
        run("mount", "--bind", f"/{kind}", f"{root}/{kind}")
    for number, package in enumerate((deb, new_deb)):
        shutil.copy(package, f"{root}/tmp/{number}.deb")
    before = files()
    inside("dpkg", "--install", "/tmp/0.deb")
    print("installed:", inside("zonekeeper", "--version").strip())
    done = subprocess.run(["chroot", root, "zonekeeper", "check"], capture_output=True, text=True, check=False)
    if done.returncode != 64 or "there is nothing to do" not in done.stderr:
        sys.exit(f"the configuration serves something: {done}")

    zookeeper = start_zookeeper()
    zookeeper.ensure_path("/services")
    config = f"{root}/etc/zonekeeper/zonekeeper.toml"
    with open(config, encoding="utf-8") as file:
        _, text = file.read().split("#\n", 1)
    text = re.sub(r"(?m)^# ?", "", text.split("# Every key")[0]).replace("zk1:2181,zk2:2181,zk3:2181", "127.0.0.1:2181")
    text = re.sub(r"(?m)^check\.http.*$", "", text)
    text = text.replace("port = 8080", 'port = 8080\naddress = "10.9.9.9"')
    text += '[[service]]\nname = "web"\nport = 80\naddress = "10.9.9.9"\n'
    with open(config, "w", encoding="utf-8") as file:
        file.write(text)
    inside("zonekeeper", "check", "--connect")
    process = serve()
    until("an answer on port 53", lambda: "8080" in dig())
    until("the registrations", lambda: all(zookeeper.exists(node) for node in NODES))
    print("answers on port 53:", dig())
    with open(f"/proc/{process.pid}/status", encoding="utf-8") as file:
        if f"Uid:\t{USER}" not in file.read():
            sys.exit("it does not run as the unit's user")
    for path in ("var/cache/zonekeeper/main",):
        until(path, lambda path=path: os.path.exists(f"{root}/{path}"))

    for number, word in ((1, "upgraded"), (0, "downgraded")):
        version = run("dpkg-deb", "--field", f"{root}/tmp/{number}.deb", "Version").strip()
        seen = under_load(lambda number=number: inside("dpkg", "--install", f"/tmp/{number}.deb"))
        installed = inside("dpkg-query", "--show", "--showformat=${Version}", "zonekeeper").strip()
        if installed != version or process.poll() is not None:
            sys.exit(f"{installed} and not {version}, or the process has ended\n{log()}")
        print(f"{word} to {version}: {seen}")
    if log().count("restarting in place") != 2:
        sys.exit(f"the packages have not restarted it in place\n{log()}")
    with open(config, encoding="utf-8") as file:
        if file.read() != text:
            sys.exit("an upgrade has changed the configuration")

    inside("dpkg", "--purge", "zonekeeper")
    process.wait(timeout=20)
    left = sorted(files() - before)
    instances = []
    for node in NODES:
        try:
            instances += zookeeper.get_children(node.rsplit("/", 1)[0])
        except NoNodeError:
            pass
    if left or instances:
        sys.exit(f"left behind: {left} {instances}")
    print("purged: no file and no instance is left")


main()
