import json
import sys

try:
    import zc.zk

    client = zc.zk.ZooKeeper(sys.argv[1], session_timeout=4.0)
except Exception as error:
    print(json.dumps({"ok": False, "error": repr(error)}))
    sys.exit(1)
print(json.dumps({"ok": True}))
sys.stdout.flush()

held = []
while True:
    line = sys.stdin.readline()
    if not line:
        break
    order = json.loads(line)
    path, answer = order["path"], {"ok": True}
    try:
        if order["op"] == "children":
            children = client.children(path)
            held.append(children)
            answer["found"] = {name: dict(client.properties(path + "/" + name, False)) for name in children}
        elif order["op"] == "register":
            host, port = order["address"].encode().rsplit(":", 1)
            client.register(path, (host, int(port)), **order["properties"])
        elif order["op"] == "properties":
            answer["found"] = dict(client.properties(path, False))
    except Exception as error:
        answer = {"ok": False, "error": repr(error)}
    print(json.dumps(answer))
    sys.stdout.flush()
