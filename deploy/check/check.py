"""Checks every manifest of deploy/ without a cluster; scripts/check-manifests.sh gets what this needs and runs it.

    check.py TOOLS CACHE     CACHE: where scripts/setup-flink.sh and scripts/setup-k8s.sh put things
"""

import pathlib
import sys
import time

import yaml

import apiserver
import build
import flink
import rules
import schemas
import simulator
import traps
from build import DEPLOY, Wrong


def variants(tools):
    for file in sorted(build.VALUES.glob("*.yaml")):
        yield f"helm {file.stem}", schemas.NATIVE, lambda file=file: build.chart(tools, yaml.safe_load(file.read_text()))
    orders = DEPLOY / "kustomize" / "overlays" / "orders"
    yield "kustomize orders", schemas.NATIVE, lambda: build.kustomization(tools, orders)
    yield "kustomize orders, plain sidecar", schemas.ALL, lambda: build.orders_before_native_sidecars(tools)
    yield "operator", schemas.NATIVE, lambda: build.kustomization(tools, DEPLOY / "operator")


def settings_of_the_chart():
    """Every setting of the sidecar can be set through the chart, is set by it, or is left out for a reason."""
    left_out = {"listen": "it stays on loopback", "lease-name": "the Role names the Lease"}
    own = {"deployment", "store", "generation", "election", "identity", "pod-name", "namespace", "public-listen", "log-format"}
    schema = yaml.safe_load((build.CHART / "values.schema.json").read_text())
    offered = set(schema["properties"]["holdfast"]["properties"]["settings"]["properties"])
    known = {name.removeprefix("HOLDFAST_").lower().replace("_", "-") for name in rules.known_settings()}
    if offered - known:
        raise Wrong(f"values.schema.json offers {sorted(offered - known)}, which the sidecar does not know")
    if known - offered - own - set(left_out):
        raise Wrong(f"the sidecar knows {sorted(known - offered - own - set(left_out))}; add it to holdfast.settings "
                    "in deploy/helm/holdfast/values.schema.json, or say in deploy/check/check.py why not")


def check(tools, cache):
    print(f"helm-template and kustomize from {tools.kustomize.parent}")
    good = []
    for name, releases, make in variants(tools):
        started = time.monotonic()
        try:
            objects = make()
            for release in releases:
                for found in objects:
                    schemas.check(found, release)
            good.append(rules.Variant(name, objects))
            rules.check(good[-1])
        except Wrong as wrong:
            raise Wrong(f"{name}: {wrong}") from None
        took = time.monotonic() - started
        print(f"ok  {name}: {len(objects)} objects, Kubernetes {releases[0]} to {releases[-1]}, {took:.1f} s")
    settings_of_the_chart()
    print("ok  the chart offers every setting of the sidecar")
    print(f"ok  {traps.check(tools)} planted mistakes were caught")
    night = check_simulator(tools)
    ask_flink(good, sorted(cache.glob("flink-[0-9]*")))
    ask_kubernetes(good, night, cache / "k8s-1.20.2")


def check_simulator(tools):
    night = simulator.check(tools)
    simulator.containerfile()
    print(f"ok  simulator: {len(night)} objects, Kubernetes {schemas.NATIVE[0]} to {schemas.NATIVE[-1]}, "
          f"{simulator.check_traps(night)} planted mistakes were caught")
    program = simulator.binary()
    if program:
        understood, refused = simulator.check_command_lines(program, night)
        print(f"ok  simulator: holdfast-sim understands the command lines of {understood} pods, and not {refused} planted mistakes")
    else:
        print("--  no holdfast-sim was built (cargo build --bin holdfast-sim): whether it understands the Job was not checked")
    return night


def ask_flink(good, homes):
    asked = {variant.name: variant.config_yaml() for variant in good if variant.name in ("helm everything", "kustomize orders")}
    for home in homes:
        for config_yaml in asked.values():
            flink.check(home, config_yaml)
        print(f"ok  {home.name} takes the configuration and finds the adapter below lib/")
    if not homes:
        print("--  no Flink in the cache: whether it takes the configuration was not checked")


def ask_kubernetes(good, night, home):
    if not (home / "kube-apiserver").exists():
        print("--  no kube-apiserver in the cache: no dry run")
        return
    count = 0
    with apiserver.started(home) as server:
        for variant in good:
            for found in variant.objects:
                if found["kind"] == "FlinkDeployment" or (found["kind"] == "Job" and variant.is_native()):
                    continue
                server.check(found)
                count += 1
        for found in night:
            server.check(simulator.for_old_server(found, apiserver.NAMESPACE))
            count += 1
        traps.check_dry_run(server, next(variant for variant in good if not variant.is_native()))
    print(f"ok  {home.name}: a real API server takes {count} objects as a dry run, and not the two planted mistakes")


if __name__ == "__main__":
    try:
        check(build.Tools(sys.argv[1]), pathlib.Path(sys.argv[2]))
    except Wrong as wrong:
        sys.exit(f"check-manifests: {wrong}")
