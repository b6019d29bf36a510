# Patroni's own view of ZooKeeper, without a PostgreSQL: members that say how they are, and one that leads.
from patroni.dcs import get_dcs


def connect(servers):
    stores = {}

    def store(scope, name):
        if (scope, name) not in stores:
            own = {"hosts": servers}
            settings = {"ttl": 20, "loop_wait": 1, "retry_timeout": 3}
            stores[scope, name] = get_dcs({"scope": scope, "name": name, "zookeeper": own, **settings})
        return stores[scope, name]

    def touch(service, host, port, state):
        member = {"conn_url": "postgres://%s:%d/postgres" % (host, port), "role": "replica", "state": state}
        one = store(service, "%s-%d" % (host, port))
        # As it comes to know what it has written itself.
        one.get_cluster()
        assert one.touch_member(member)

    def add(service, host, port):
        touch(service, host, port, "running")

    def remove(service, host, port):
        touch(service, host, port, "stopped")

    def found(service):
        members = store(service, "reader").get_cluster().members
        running = [one.data["conn_url"] for one in members if one.data.get("state") == "running"]
        return sorted(url.split("/")[2] for url in running)

    return {"add": add, "remove": remove, "list": found}


serve(connect)
