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
        elif order["op"] == "import":
            # What it prints of paths that it does not trim would be in the way of the answers.
            stdout, sys.stdout = sys.stdout, sys.stderr
            try:
                client.import_tree(order["text"], path, trim=order["trim"])
            finally:
                sys.stdout = stdout
        elif order["op"] == "export":
            answer["found"] = client.export_tree(path)
        elif order["op"] == "differences":
            other, found = order["other"], []
            for one in client.walk(path):
                below = one[len(path):]
                if not client.exists(other + below):
                    found.append(below + " is only in the first")
                elif client.get_properties(one) != client.get_properties(other + below):
                    found.append(below + ": %r, %r" % (client.get_properties(one), client.get_properties(other + below)))
            for one in client.walk(other):
                if not client.exists(path + one[len(other):]):
                    found.append(one[len(other):] + " is only in the second")
            answer["found"] = found
        elif order["op"] == "properties":
            answer["found"] = dict(client.properties(path, False))
    except Exception as error:
        answer = {"ok": False, "error": repr(error)}
    print(json.dumps(answer))
    sys.stdout.flush()
