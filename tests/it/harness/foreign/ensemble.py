# Changes the ensemble itself: servers that are observers, whether or not they run, come into its configuration and leave.
from kazoo.client import KazooClient


def connect(servers):
    client = KazooClient(hosts=servers, timeout=4.0)
    client.start(timeout=20)

    def add(service, host, port):
        server = "server.%d=%s:%d:%d:observer;%s:%d" % (port, host, port + 10000, port + 20000, host, port)
        client.reconfig(joining=server, leaving=None, new_members=None)

    def remove(service, host, port):
        client.reconfig(joining=None, leaving=str(port), new_members=None)

    def found(service):
        lines = client.get("/zookeeper/config")[0].decode().splitlines()
        return sorted(line.split(";")[1] for line in lines if line.startswith("server."))

    return {"add": add, "remove": remove, "list": found}


serve(connect)
