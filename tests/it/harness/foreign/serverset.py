# Joins and lists ServerSets with twitter.common.zookeeper. It is of Python 2's time: two of its words are other ones now.
import queue
import sys

from kazoo.client import KazooClient

sys.modules["Queue"] = queue

from twitter.common.zookeeper.serverset import Endpoint, ServerSet, ServiceInstance

pack = ServiceInstance.pack
ServiceInstance.pack = classmethod(lambda cls, instance: pack(instance).encode())


def connect(servers):
    client, reader = (KazooClient(hosts=servers, timeout=4.0) for _ in range(2))
    client.start(timeout=20)
    reader.start(timeout=20)
    sets, members = {}, {}

    def path(service):
        return "/aurora/role/prod/" + service

    def add(service, host, port, shard=None, inet=None, more=None):
        if service not in sets:
            sets[service] = ServerSet(client, path(service))
        additional = {name: Endpoint(host, other) for name, other in (more or {}).items()}
        member = sets[service].join(Endpoint(host, port, inet), additional, shard=shard)
        members[service, host, port] = member
        return member.id

    def remove(service, host, port):
        sets[service].cancel(members.pop((service, host, port)))

    def found(service):
        reader.ensure_path(path(service))
        # A member may leave while they are read.
        instances = [one for one in ServerSet(reader, path(service)) if one is not None]
        return sorted(str(one.service_endpoint) for one in instances)

    return {"add": add, "remove": remove, "list": found}


serve(connect)
