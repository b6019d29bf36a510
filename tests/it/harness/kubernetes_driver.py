"""Validates Kubernetes' objects by their schemas, and what they name by each other: kubernetes_driver.py DIRECTORY FILE…"""

import os
import re
import sys

import kubernetes_validate
import yaml

directory, *files = sys.argv[1:]


def objects(path):
    with open(path, encoding="utf-8") as file:
        return list(yaml.safe_load_all(file))


with open(os.path.join(directory, "zonekeeper.toml"), encoding="utf-8") as file:
    listening = {int(port) for port in re.findall(r'"0\.0\.0\.0:(\d+)"', file.read())}
for base in (directory, os.path.join(directory, "daemonset")):
    (kustomization,) = objects(os.path.join(base, "kustomization.yaml"))
    for resource in kustomization["resources"] + kustomization["configMapGenerator"][0]["files"]:
        if not os.path.exists(os.path.join(base, resource)):
            sys.exit(f"{base}: no {resource}")
ports = {}
for path in files:
    for item in objects(path):
        kubernetes_validate.validate(item, "1.31", strict=True)
        print(item["kind"])
        if item["kind"] in ("Deployment", "DaemonSet"):
            pod = item["spec"]["template"]
            if item["spec"]["selector"]["matchLabels"].items() - pod["metadata"]["labels"].items():
                sys.exit(f"{path}: the selector finds no pod")
            (container,) = pod["spec"]["containers"]
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            if set(ports.values()) != listening:
                sys.exit(f"{path}: {ports}, and the configuration listens on {listening}")
            for probe in ("readinessProbe", "livenessProbe"):
                if container[probe]["httpGet"]["port"] not in ports:
                    sys.exit(f"{path}: {probe} asks no port")
        if item["kind"] == "Service" and {port["targetPort"] for port in item["spec"]["ports"]} - set(ports):
            sys.exit(f"{path}: no such port")
