"""What must hold of every variant beyond its schema. A schema knows no names that belong together."""

import re

import yaml

from build import DEPLOY, Wrong

SETTINGS = DEPLOY.parent / "sidecar" / "src" / "settings.rs"

POD_TEMPLATES = {"Job": ("spec", "template"), "Deployment": ("spec", "template")}

# Every verb that Holdfast needs; deploy/README.md says what for.
RULES = [
    ("coordination.k8s.io", "leases", True, ["get", "update"]),
    ("coordination.k8s.io", "leases", False, ["create"]),
    ("", "pods", False, ["get"]),
    ("", "events", False, ["create"]),
]

# Made by others, in every namespace or by the user, as the manifests say.
EXTERNAL = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "flink"), ("ServiceAccount", "mine")}

QUANTITY = re.compile(r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$")

# The same amounts in Flink's words and in Kubernetes', where m is a thousandth.
FLINK_UNITS = {"m": 1 << 20, "g": 1 << 30}
KUBERNETES_UNITS = {"Mi": 1 << 20, "Gi": 1 << 30}


class Variant:
    """The objects of one variant, with what is asked of them often."""

    def __init__(self, name, objects):
        self.name = name
        self.objects = objects
        self.pods = dict(pods_of(objects))
        self.job_manager = self.pods["jobmanager"]
        self.task_manager = self.pods["taskmanager"]

    def of_kind(self, kind):
        return [found for found in self.objects if found["kind"] == kind]

    def named(self, kind, name):
        return next((found for found in self.of_kind(kind) if found["metadata"]["name"] == name), None)

    def sidecar(self):
        spec = self.job_manager["spec"]
        for container in spec.get("initContainers", []) + spec["containers"]:
            if container["name"] == "holdfast":
                return container
        raise Wrong("no container is called holdfast")

    def environment(self):
        """Of the sidecar, as far as it is written down."""
        sidecar = self.sidecar()
        values = {}
        for source in sidecar.get("envFrom", []):
            if "configMapRef" in source:
                values.update(self.named("ConfigMap", source["configMapRef"]["name"])["data"])
        for entry in sidecar["env"]:
            values[entry["name"]] = entry.get("value", entry.get("valueFrom"))
        return values

    def flink_configuration(self):
        operated = self.of_kind("FlinkDeployment")
        if operated:
            return operated[0]["spec"]["flinkConfiguration"]
        return unique_keys(self.config_yaml())

    def config_yaml(self):
        texts = [found["data"]["config.yaml"] for found in self.of_kind("ConfigMap") if "config.yaml" in found["data"]]
        if len(texts) != 1:
            raise Wrong(f"{len(texts)} ConfigMaps hold a config.yaml")
        return texts[0]

    def is_native(self):
        return any(each["name"] == "holdfast" for each in self.job_manager["spec"]["initContainers"])


def pods_of(objects):
    """(component, pod template) of everything that makes pods."""
    for found in objects:
        if found["kind"] in POD_TEMPLATES:
            template = found["spec"]["template"]
            yield template["metadata"]["labels"]["app.kubernetes.io/component"], template
        elif found["kind"] == "FlinkDeployment":
            labels = {"app": found["metadata"]["name"], "type": "flink-native-kubernetes"}
            for field, component in (("jobManager", "jobmanager"), ("taskManager", "taskmanager")):
                template = found["spec"][field]["podTemplate"]
                # As Flink labels them, in native mode.
                template = {**template, "metadata": {"labels": {**labels, "component": component}}}
                yield component, template


def check(variant):
    for rule in (names, references, containers, sidecar, adapter, entry_point, address, rights, one_name, leader_stream, network, memory):
        rule(variant)


def names(variant):
    seen = set()
    for found in variant.objects:
        key = (found["kind"], found["metadata"]["name"])
        if key in seen:
            raise Wrong(f"two objects are {key}")
        seen.add(key)
        if "ownerReferences" in found["metadata"]:
            raise Wrong(f"{key} has an ownerReference: it would go with its owner")
        if found["kind"] == "Lease":
            raise Wrong("a Lease is shipped: it would be removed with the rest, and must outlive it")


def references(variant):
    def need(kind, reference):
        key = (kind, reference["name"])
        if not (reference.get("optional") or key in EXTERNAL or variant.named(*key)):
            raise Wrong(f"{key} is referred to but is not there")

    for template in variant.pods.values():
        spec = template["spec"]
        if "serviceAccountName" in spec:
            need("ServiceAccount", {"name": spec["serviceAccountName"]})
        for volume in spec["volumes"]:
            for source in [volume, *volume.get("projected", {}).get("sources", [])]:
                if "configMap" in source:
                    need("ConfigMap", source["configMap"])
        volumes = {volume["name"] for volume in spec["volumes"]}
        for container in spec["initContainers"] + spec["containers"]:
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes:
                    raise Wrong(f"container {container['name']} mounts {mount['name']!r}, which is no volume of the pod")
    for source in variant.sidecar().get("envFrom", []):
        if "configMapRef" in source:
            need("ConfigMap", source["configMapRef"])
        elif source["secretRef"]["name"] != "my-secret":
            need("Secret", source["secretRef"])


def containers(variant):
    """Bounded, without privileges, not root."""
    for template in variant.pods.values():
        spec = template["spec"]
        if spec["securityContext"].get("runAsNonRoot") is not True:
            raise Wrong("a pod may run as root")
        for container in spec["initContainers"] + spec["containers"]:
            security = container["securityContext"]
            ours = container["name"] in ("holdfast", "install-adapter")
            if security["allowPrivilegeEscalation"] is not False or security["capabilities"] != {"drop": ["ALL"]}:
                raise Wrong(f"container {container['name']} keeps privileges")
            if ours and security.get("readOnlyRootFilesystem") is not True:
                raise Wrong(f"container {container['name']} can write to its image")
            if container["name"] == "flink-main-container":
                continue  # the operator sets its resources and its image
            if ":" not in container["image"].split("/")[-1]:
                raise Wrong(f"container {container['name']} names no version of its image: {container['image']!r}")
            if "memory" not in container["resources"]["limits"]:
                raise Wrong(f"container {container['name']} has no memory limit")
            for quantity in [q for part in container["resources"].values() for q in part.values()]:
                if not QUANTITY.match(str(quantity)):
                    raise Wrong(f"container {container['name']}: {quantity!r} is not a quantity")


def sidecar(variant):
    container = variant.sidecar()
    spec = variant.job_manager["spec"]
    order = [each["name"] for each in spec["initContainers"]]
    native = variant.is_native()
    if native and (order != ["install-adapter", "holdfast"] or container.get("restartPolicy") != "Always"):
        raise Wrong(f"a native sidecar is the last init container and has restartPolicy Always, but: {order}")
    known = known_settings()
    environment = variant.environment()
    unknown = sorted(name for name in environment if name.startswith("HOLDFAST_") and name not in known)
    if unknown:
        raise Wrong(f"the sidecar knows no setting {unknown[0]}; {SETTINGS.name} has all that there are")
    fields = {
        name: environment[name]["fieldRef"]["fieldPath"]
        for name in ("HOLDFAST_GENERATION", "HOLDFAST_IDENTITY", "HOLDFAST_POD_NAME", "HOLDFAST_NAMESPACE")
    }
    generation = fields.pop("HOLDFAST_GENERATION")
    if generation not in GENERATIONS[variant.name.split(" ")[0], native]:
        raise Wrong(f"the generation comes from {generation}")
    if list(fields.values()) != ["metadata.uid", "metadata.name", "metadata.namespace"]:
        raise Wrong(f"identity, pod name or namespace come from elsewhere: {fields}")
    if environment["HOLDFAST_ELECTION"] != "kubernetes" or "HOLDFAST_LISTEN" in environment:
        raise Wrong("the election is not kubernetes, or the writable listener was moved away from loopback")
    probes = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    paths = [(get["path"], get["port"]) for get in probes.values()]
    if paths != [("/ready", "holdfast"), ("/live", "holdfast"), ("/ready", "holdfast")]:
        raise Wrong(f"the probes ask {paths}")


GENERATIONS = {
    ("helm", True): ["metadata.labels['batch.kubernetes.io/controller-uid']"],
    ("kustomize", True): ["metadata.labels['batch.kubernetes.io/controller-uid']"],
    ("kustomize", False): ["metadata.labels['controller-uid']"],
    ("operator", True): ["metadata.annotations['flinkdeployment.flink.apache.org/generation']"],
}


def known_settings():
    found = set(re.findall(r'env = "(HOLDFAST_[A-Z_]+)"', SETTINGS.read_text()))
    if len(found) < 20:
        raise Wrong(f"{SETTINGS} does not name its environment variables as it used to")
    return found


def adapter(variant):
    """In both pods: copied to the volume, which is then below lib/ and nowhere over it."""
    for component, template in variant.pods.items():
        spec = template["spec"]
        install = spec["initContainers"][0]
        to = install["args"][install["args"].index("--to") + 1]
        volume = [mount["name"] for mount in install["volumeMounts"] if mount["mountPath"] == to]
        mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
        if install["name"] != "install-adapter" or volume != [mounts.get("/opt/flink/lib/holdfast")]:
            raise Wrong(f"the adapter does not get into the lib/ of the {component}")
        if "/opt/flink/lib" in mounts or "/opt/flink/conf" in mounts:
            raise Wrong(f"a mount hides what the image of the {component} has there")


def entry_point(variant):
    """`holdfast exec` comes with the adapter, and a spare's ports are none of the first process's."""
    if variant.of_kind("FlinkDeployment"):
        return  # the operator makes the JobManager's container
    spec = variant.job_manager["spec"]
    container, install = spec["containers"][0], spec["initContainers"][0]
    command = container.get("command")
    if bool(command) != ("--with-exec" in install["args"]):
        raise Wrong(f"the JobManager runs {command}, and {install['args']} was installed")
    if not command:
        return
    if command[:2] != ["/opt/flink/lib/holdfast/holdfast", "exec"] or command[-1] == "--" or "--" not in command:
        raise Wrong(f"the JobManager's entry point is not holdfast exec: {command}")
    properties = [word.removeprefix("--spare-property=") for word in command if word.startswith("--spare-property=")]
    if ("--warm-spare" in command) != bool(properties):
        raise Wrong(f"a spare has ports of its own, and nobody else has: {command}")
    numbers = [each["containerPort"] for each in container["ports"]]
    if len(set(numbers)) != len(numbers) or any(int(each.split("=")[1]) not in numbers for each in properties):
        raise Wrong(f"the spare's ports {properties} are not among the container's {numbers}, or not its own")
    kept = [each["value"] for each in container["env"] if each["name"] == "HOLDFAST_STATE_DIR"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    empty = {volume["name"] for volume in spec["volumes"] if "emptyDir" in volume}
    if len(kept) != 1 or mounts.get(kept[0]) not in empty:
        raise Wrong(f"what holdfast exec has learned is not kept for the next container: {kept}, {mounts}")


def address(variant):
    """The JobManager publishes its pod's address. Flink 2 has no option --host any more and hands it to main()."""
    if variant.of_kind("FlinkDeployment"):
        return  # Flink does it by itself in native mode
    container = variant.job_manager["spec"]["containers"][0]
    if container["args"][:2] != ["standalone-job", "-Djobmanager.rpc.address=$(POD_IP)"] or "--host" in container["args"]:
        raise Wrong(f"the JobManager does not publish its pod's address: {container['args']}")
    pod_ip = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    if pod_ip not in container["env"]:
        raise Wrong("POD_IP is not the pod's address")


def rights(variant):
    """Exactly what is needed, and only the sidecar has the token."""
    lease = variant.environment()["HOLDFAST_DEPLOYMENT"]
    if "HOLDFAST_LEASE_NAME" in variant.environment():
        raise Wrong("the Lease has another name than the Role allows")
    expected = [
        {"apiGroups": [group], "resources": [resource], "verbs": verbs, **({"resourceNames": [lease]} if by_name else {})}
        for group, resource, by_name, verbs in RULES
    ]
    roles = variant.of_kind("Role")
    if len(roles) != 1 or roles[0]["rules"] != expected or variant.of_kind("ClusterRole"):
        raise Wrong(f"the rights are not those that README.md explains: {[role['rules'] for role in roles]}")
    binding = variant.of_kind("RoleBinding")[0]
    if binding["roleRef"]["name"] != roles[0]["metadata"]["name"] or not binding["subjects"][0].get("namespace"):
        raise Wrong("the RoleBinding binds another Role, or a service account of no namespace")
    if variant.of_kind("FlinkDeployment"):
        account = variant.of_kind("FlinkDeployment")[0]["spec"]["serviceAccount"]
    else:
        account = variant.job_manager["spec"]["serviceAccountName"]
        for component, template in variant.pods.items():
            if template["spec"].get("automountServiceAccountToken") is not False:
                raise Wrong(f"every container of the {component} is given the token")
            for container in template["spec"]["initContainers"] + template["spec"]["containers"]:
                has = any(mount["name"] == "api-token" for mount in container.get("volumeMounts", []))
                if has != (container["name"] == "holdfast"):
                    raise Wrong(f"container {container['name']} has the token, or the sidecar has none")
    if binding["subjects"][0]["name"] != account:
        raise Wrong(f"the rights are given to another service account than {account}")


def one_name(variant):
    deployment = variant.environment()["HOLDFAST_DEPLOYMENT"]
    cluster_id = variant.flink_configuration()["high-availability.cluster-id"]
    if deployment != cluster_id:
        raise Wrong(f"Holdfast calls it {deployment!r}, Flink {cluster_id!r}")


def leader_stream(variant):
    """The URL leads to a Service, and that to the sidecar alone."""
    configuration = variant.flink_configuration()
    if configuration["high-availability.holdfast.url"] != "http://127.0.0.1:8480":
        raise Wrong("the JobManager does not find the sidecar beside it")
    url = configuration["high-availability.holdfast.leaders-url"]
    host, port = re.fullmatch(r"http://([a-z0-9-]+):([0-9]+)", url).groups()
    service = variant.named("Service", host)
    if not service:
        raise Wrong(f"{url} is no Service")
    if not selects(service["spec"]["selector"], variant.job_manager) or selects(service["spec"]["selector"], variant.task_manager):
        raise Wrong(f"the Service {host} does not select the JobManager's pods alone")
    targets = [each["targetPort"] for each in service["spec"]["ports"] if each["port"] == int(port)]
    ports = {each["name"]: each["containerPort"] for each in variant.sidecar()["ports"]}
    listens = variant.environment()["HOLDFAST_PUBLIC_LISTEN"]
    if targets != ["holdfast"] or listens != f"0.0.0.0:{ports['holdfast']}":
        raise Wrong(f"port {port} of the Service {host} does not lead to the sidecar")


def selects(labels, template):
    return bool(labels) and labels.items() <= template["metadata"]["labels"].items()


def network(variant):
    for policy in variant.of_kind("NetworkPolicy"):
        of = [each for each in variant.pods.values() if selects(policy["spec"]["podSelector"]["matchLabels"], each)]
        if len(of) != 1:
            raise Wrong(f"the NetworkPolicy {policy['metadata']['name']} is for {len(of)} kinds of pods")
        spec = of[0]["spec"]
        open_ports = {port["name"] for each in spec["initContainers"] + spec["containers"] for port in each.get("ports", [])}
        for rule in policy["spec"]["ingress"]:
            for port in rule["ports"]:
                if port["port"] not in open_ports:
                    raise Wrong(f"the NetworkPolicy {policy['metadata']['name']} names {port['port']!r}, which is no port")
        allowed = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]
                   if any(selects(peer.get("podSelector", {}).get("matchLabels"), variant.task_manager) for peer in rule["from"])}
        needed = {"holdfast", "rpc", "blob"} if of[0] is variant.job_manager else {"data", "rpc"}
        if of[0] is variant.job_manager and "--warm-spare" in spec["containers"][0].get("command", []):
            needed |= {"rpc-spare", "blob-spare"}
        if allowed != needed:
            raise Wrong(f"TaskManagers may reach {sorted(allowed)} where they need {sorted(needed)}")
        for rule in policy["spec"]["ingress"]:
            ports = {port["port"] for port in rule["ports"]}
            if "rest" in ports and "rest-spare" in open_ports and "rest-spare" not in ports:
                raise Wrong(f"who may use Flink's REST API cannot after a takeover: {sorted(ports)}")


def memory(variant):
    """Flink sizes its heap by its configuration, the kubelet kills by the limit."""
    if variant.of_kind("FlinkDeployment"):
        return  # the operator makes both out of `resource`
    configuration = variant.flink_configuration()
    for component, template in variant.pods.items():
        size = configuration[f"{component}.memory.process.size"]
        container = template["spec"]["containers"][0]
        limit = container["resources"]["limits"]["memory"]
        processes = 2 if "--warm-spare" in container.get("command", []) else 1
        if processes * in_bytes(size, FLINK_UNITS) != in_bytes(limit, KUBERNETES_UNITS):
            raise Wrong(f"Flink's {component} plans with {processes} times {size}, its container has {limit}")


def in_bytes(text, units):
    number, unit = re.fullmatch(r"([0-9]+)([a-zA-Z]*)", text).groups()
    if unit not in units:
        raise Wrong(f"{text!r} should end in one of {list(units)}")
    return int(number) * units[unit]


def unique_keys(text):
    """Of a flat mapping, one of whose keys a parser would silently drop."""
    keys = [key.value for key, _ in yaml.compose(text).value]
    double = {key for key in keys if keys.count(key) > 1}
    if double:
        raise Wrong(f"config.yaml sets {sorted(double)[0]} twice")
    return yaml.safe_load(text)
