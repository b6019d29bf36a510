"""Servers and a client of gRPC that finds them by DNS: grpc_driver.py DNS_PORT PORT HOST…

For each line of input a line is done: `call` prints the hosts that forty calls in a row have reached, or the error;
`stop HOST` stops that server.
"""

import sys
from concurrent import futures

import grpc

dns, port, *hosts = sys.argv[1:]


def serve(host):
    def say(request, context):
        return host.encode()

    server = grpc.server(futures.ThreadPoolExecutor(2))
    handlers = {"Say": grpc.unary_unary_rpc_method_handler(say)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Host", handlers)])
    server.add_insecure_port(f"{host}:{port}")
    server.start()
    return server


servers = {host: serve(host) for host in hosts}
options = [
    ("grpc.lb_policy_name", "round_robin"),
    # Asked again when a connection breaks, and not oftener than this; 30 s otherwise.
    ("grpc.dns_min_time_between_resolutions_ms", 200),
]
channel = grpc.insecure_channel(f"dns://127.0.0.1:{dns}/api-x.service:{port}", options)
say = channel.unary_unary("/test.Host/Say")
print("ready", flush=True)
for line in sys.stdin:
    order, *rest = line.split()
    if order == "stop":
        servers[rest[0]].stop(0).wait()
        print("stopped", flush=True)
    else:
        try:
            print(*sorted({say(b"", timeout=5, wait_for_ready=True).decode() for _ in range(40)}), flush=True)
        except grpc.RpcError as error:
            print("error:", error.code().name, flush=True)
