import json
import sys

try:
    from nd_service_registry import KazooServiceRegistry

    client = KazooServiceRegistry(server=sys.argv[1], timeout=20, rate_limit_calls=None)
except Exception as error:
    print(json.dumps({"ok": False, "error": repr(error)}), flush=True)
    sys.exit(1)
print(json.dumps({"ok": True}), flush=True)

for line in sys.stdin:
    order = json.loads(line)
    path, answer = order["path"], {"ok": True}
    try:
        if order["op"] == "get":
            children = client.get(path)["children"]
            answer["found"] = {name: client.get(path + "/" + name)["data"] for name in children}
        elif order["op"] == "set_node":
            client.set_node(path, order["data"])
    except Exception as error:
        answer = {"ok": False, "error": repr(error)}
    print(json.dumps(answer), flush=True)
