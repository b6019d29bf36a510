# Registers, and lists, with nd_service_registry.
from nd_service_registry import KazooServiceRegistry


def connect(servers):
    writer, reader = (KazooServiceRegistry(server=servers, timeout=20, rate_limit_calls=None) for _ in range(2))

    def node(service, host, port):
        return "/nd/%s/%s:%d" % (service, host, port)

    def add(service, host, port):
        writer.set_node(node(service, host, port), {"weight": 3})

    def remove(service, host, port):
        writer.set_node(node(service, host, port), state=False)

    def found(service):
        return sorted(reader.get("/nd/" + service)["children"])

    return {"add": add, "remove": remove, "list": found}


serve(connect)
