import json
import sys

try:
    from kazoo.client import KazooClient
    from kazoo.exceptions import NoNodeError
    from kazoo.security import OPEN_ACL_UNSAFE, READ_ACL_UNSAFE, make_digest_acl

    client = KazooClient(hosts=sys.argv[1], timeout=4.0)
    client.start(timeout=20)
except Exception as error:
    print(json.dumps({"ok": False, "error": repr(error)}), flush=True)
    sys.exit(1)
print(json.dumps({"ok": True}), flush=True)

for line in sys.stdin:
    order = json.loads(line)
    path, answer = order["path"], {"ok": True}
    try:
        if order["op"] == "create":
            client.create(path, bytes(order["data"]), ephemeral=order["ephemeral"], makepath=True)
        elif order["op"] == "create_locked":
            user, password = order["who"].split(":")
            client.add_auth("digest", order["who"])
            client.create(path, bytes(order["data"]), acl=[make_digest_acl(user, password, all=True)])
        elif order["op"] == "set":
            client.set(path, bytes(order["data"]))
        elif order["op"] == "lock":
            # Whoever locks it could not unlock it without this.
            client.add_auth("digest", order["who"])
            user, password = order["who"].split(":")
            client.set_acls(path, [make_digest_acl(user, password, all=True)])
        elif order["op"] == "read_only":
            client.set_acls(path, READ_ACL_UNSAFE)
        elif order["op"] == "unlock":
            client.set_acls(path, OPEN_ACL_UNSAFE)
        elif order["op"] == "delete":
            client.delete(path)
        elif order["op"] == "children":
            answer.update(children=sorted(client.get_children(path)) if client.exists(path) else [])
        elif order["op"] == "get":
            try:
                data, stat = client.get(path)
                answer.update(data=list(data), owner=stat.ephemeralOwner, czxid=stat.czxid)
            except NoNodeError:
                pass
    except Exception as error:
        answer = {"ok": False, "error": repr(error)}
    print(json.dumps(answer), flush=True)
