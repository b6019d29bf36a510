# Registers with serviceprovider, which writes each node anew once a second. It has no reader: what Ranger's finders take,
# the healthy ones, is listed with kazoo.
import json
import logging

from kazoo.client import KazooClient
from serviceprovider import HealthCheck, RangerServiceProvider
from serviceprovider.ranger_models import ClusterDetails, ServiceDetails, UrlScheme

NAMESPACE = "ranger/org"


class Health(HealthCheck):
    """As the test wants it."""

    def __init__(self):
        super().__init__(None, UrlScheme.GET, logging.getLogger("health"))
        self.is_well = True

    def is_healthy(self):
        return self.is_well


def connect(servers):
    reader = KazooClient(hosts=servers, timeout=4.0)
    reader.start(timeout=20)
    providers = {}

    def add(service, host, port):
        details = ServiceDetails(host, port, "prod", NAMESPACE, service, "dc1", ["canary"])
        provider = RangerServiceProvider(
            ClusterDetails(servers, 1), details, Health(), logging.getLogger("provider")
        )
        provider.start()
        # Its own first turn is a second later.
        provider._ranger_update_tick()
        providers[service, host, port] = provider

    def change(service, host, port, up):
        provider = providers[service, host, port]
        provider.health_check.is_well = up
        provider._ranger_update_tick()

    def remove(service, host, port):
        provider = providers.pop((service, host, port))
        provider.stop()
        provider.ranger_client.stop()

    def found(service):
        path = "/%s/%s" % (NAMESPACE, service)
        reader.ensure_path(path)
        nodes = {name: json.loads(reader.get(path + "/" + name)[0]) for name in reader.get_children(path)}
        return sorted(name for name, data in nodes.items() if data["healthcheckStatus"] == "healthy")

    return {"add": add, "remove": remove, "change": change, "list": found}


serve(connect)
