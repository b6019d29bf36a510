# kazoo's recipes: members of parties, and candidates of elections, whose identifiers are host:port.
import threading

from kazoo.client import KazooClient


def connect(servers):
    client = KazooClient(hosts=servers, timeout=4.0)
    client.start(timeout=20)
    held = {}

    def path(kind, service):
        return "/%s/%s" % (kind, service)

    def add(kind, service, host, port):
        identifier = "%s:%d" % (host, port)
        if kind == "election":
            election, over = client.Election(path(kind, service), identifier), threading.Event()
            threading.Thread(target=election.run, args=(over.wait,), daemon=True).start()
            while identifier not in election.contenders():
                over.wait(0.002)

            def leave():
                # Whether it leads or waits.
                over.set()
                election.cancel()
                while identifier in election.contenders():
                    threading.Event().wait(0.002)
        else:
            party = (client.Party if kind == "party" else client.ShallowParty)(path(kind, service), identifier)
            party.join()
            leave = party.leave
        held[kind, service, host, port] = leave

    def remove(kind, service, host, port):
        held.pop((kind, service, host, port))()

    def found(kind, service):
        if kind == "election":
            return sorted(client.Election(path(kind, service)).contenders())
        return sorted((client.Party if kind == "party" else client.ShallowParty)(path(kind, service)))

    def leader(kind, service):
        contenders = client.Election(path(kind, service)).contenders()
        return contenders[0] if contenders else None

    return {"add": add, "remove": remove, "list": found, "leader": leader}


serve(connect)
