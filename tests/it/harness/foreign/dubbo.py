# Registers, and looks up, with Dubbo's Python library.
from dubbo.registry.zookeeper.zk_registry import ZookeeperRegistryFactory
from dubbo.url import create_url


def connect(servers):
    address, _, chroot = servers.partition("/")
    group = chroot + "/dubbo" if chroot else "dubbo"
    url = create_url("zookeeper://%s?group=%s" % (address, group))
    writer, reader = (ZookeeperRegistryFactory().get_registry(url) for _ in range(2))
    urls = {}

    def add(service, host, port, **parameters):
        query = "&".join("%s=%s" % one for one in parameters.items())
        provider = create_url("tri://%s:%d/%s?%s" % (host, port, service, query))
        writer.register(provider)
        urls[service, host, port] = provider

    def remove(service, host, port):
        writer.unregister(urls.pop((service, host, port)))

    def found(service):
        try:
            children = reader.lookup(create_url("consumer://127.0.0.1/" + service))
        except Exception as error:
            if type(error).__name__ != "NoNodeError":
                raise
            return []
        return sorted(create_url(child, encoded=True).location for child in children)

    return {"add": add, "remove": remove, "list": found}


serve(connect)
