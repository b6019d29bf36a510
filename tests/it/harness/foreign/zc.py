# Registers, and lists, with zc.zk, in Python 2.
import zc.zk


def connect(servers):
    writer, reader = (zc.zk.ZooKeeper(servers, session_timeout=4.0) for _ in range(2))
    lists = {}

    def path(service):
        return "/zc/%s/providers" % service

    def add(service, host, port):
        writer.client.ensure_path(path(service))
        writer.register(path(service), (str(host), port), weight=3)

    def remove(service, host, port):
        node = "%s/%s:%d" % (path(service), host, port)
        writer.ephemeral.pop(node, None)
        writer.client.delete(node)

    def found(service):
        if service not in lists:
            reader.client.ensure_path(path(service))
            lists[service] = reader.children(path(service))
        return sorted(lists[service])

    return {"add": add, "remove": remove, "list": found}


serve(connect)
