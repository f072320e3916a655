"""Mistakes made on purpose. A check that lets one of them through is worth nothing."""

import copy

import build
import rules
import schemas
from build import Wrong

MINIMAL = {
    "store": {"url": "s3://b/p"},
    "flink": {"storageDir": "s3://b/f", "checkpointsDir": "s3://b/c"},
}


def pod(objects, kind="Job"):
    return next(found for found in objects if found["kind"] == kind)["spec"]["template"]["spec"]


def of_kind(objects, kind):
    return next(found for found in objects if found["kind"] == kind)


def sidecar(objects):
    return pod(objects)["initContainers"][1]


def drop_instance(objects):
    service = of_kind(objects, "Service")
    service["spec"]["selector"] = {"app.kubernetes.io/name": "holdfast"}


def other_lease(objects):
    of_kind(objects, "Role")["rules"][0]["resourceNames"] = ["order"]


def own_the_secret(objects):
    of_kind(objects, "ConfigMap")["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "x", "uid": "y"}]


def hide_the_jars(objects):
    pod(objects)["containers"][0]["volumeMounts"][0]["mountPath"] = "/opt/flink/lib"


# What is done to a good variant, and what the complaint must say.
IN_OBJECTS = [
    ("a misspelt field", lambda o: pod(o).update(restartPolice="Never"), "restartPolice"),
    ("a misspelt field deep inside", lambda o: sidecar(o)["startupProbe"].update(periodSecond=1), "periodSecond"),
    ("text for a number", lambda o: of_kind(o, "Job")["spec"].update(backoffLimit="many"), "'many'"),
    ("a label that is a boolean", lambda o: of_kind(o, "Service")["spec"]["selector"].update(on=True), "True"),
    ("a quantity that is none", lambda o: sidecar(o)["resources"]["requests"].update(cpu="lots"), "'lots' is not a quantity"),
    ("an unknown setting", lambda o: sidecar(o)["env"].append({"name": "HOLDFAST_STOER", "value": "x"}), "HOLDFAST_STOER"),
    ("a sidecar that is not native", lambda o: sidecar(o).pop("restartPolicy"), "restartPolicy Always"),
    ("a probe of another path", lambda o: sidecar(o)["startupProbe"]["httpGet"].update(path="/live"), "the probes ask"),
    ("the pod's name as identity", lambda o: sidecar(o)["env"][4]["valueFrom"]["fieldRef"].update(fieldPath="metadata.name"), "identity"),
    ("one verb more", lambda o: of_kind(o, "Role")["rules"][2]["verbs"].append("list"), "the rights are not"),
    ("one verb less", lambda o: of_kind(o, "Role")["rules"][0]["verbs"].remove("update"), "the rights are not"),
    ("another Lease's name", other_lease, "the rights are not"),
    ("the token for every container", lambda o: pod(o).pop("automountServiceAccountToken"), "is given the token"),
    ("a mount over lib/", hide_the_jars, "does not get into the lib/"),
    ("an entry point that was not installed", lambda o: pod(o)["initContainers"][0]["args"].remove("--with-exec"), "was installed"),
    ("an entry point with nothing to run", lambda o: pod(o)["containers"][0]["command"].pop(), "entry point is not"),
    ("a spare with the first one's ports", lambda o: pod(o)["containers"][0]["command"].insert(2, "--warm-spare"), "a spare has ports"),
    ("a state directory that is lost", lambda o: pod(o)["containers"][0]["volumeMounts"].pop(), "for the next container"),
    ("an option that Flink 2 does not have", lambda o: pod(o)["containers"][0]["args"].insert(1, "--host"), "its pod's address"),
    ("a mount of no volume", lambda o: pod(o)["volumes"].pop(0), "no volume of the pod"),
    ("a Service that selects too much", drop_instance, "does not select the JobManager's pods alone"),
    ("a port that is none", lambda o: of_kind(o, "NetworkPolicy")["spec"]["ingress"][0]["ports"].append({"port": "rcp"}), "'rcp'"),
    ("a closed port", lambda o: of_kind(o, "NetworkPolicy")["spec"]["ingress"][0]["ports"].pop(), "where they need"),
    ("an ownerReference", own_the_secret, "ownerReference"),
    ("more heap than memory", lambda o: pod(o, "Deployment")["containers"][0]["resources"]["limits"].update(memory="1Gi"), "plans with"),
    ("a root container", lambda o: pod(o)["securityContext"].pop("runAsNonRoot"), "as root"),
]

# Values that the chart must refuse, and what the complaint must say.
IN_VALUES = [
    ("no store", {"store": {"url": ""}}, "store.url"),
    ("a value that is not there", {"jobmanager": {}}, "jobmanager"),
    ("credentials in the URL's query", {"store": {"url": "s3://b/p?key=x"}}, "store.url"),
    ("a key that the chart sets itself", {"flink": {"configuration": {"rest.port": 9999}}}, "rest.port"),
    ("a nested configuration", {"flink": {"configuration": {"rest": {"port": 9999}}}}, "rest"),
    ("a Secret and credentials", {"store": {"existingSecret": "a", "credentials": {"A": "b"}}}, "not both"),
    ("a setting of ours in the environment", {"store": {"env": {"HOLDFAST_STORE": "x"}}}, "HOLDFAST_STORE"),
    ("an unknown setting", {"holdfast": {"settings": {"leese-duration": "1s"}}}, "leese-duration"),
    ("a JobManager behind a path", {"holdfast": {"settings": {"job-manager-rest": "http://proxy/flink"}}}, "job-manager-rest"),
    ("somebody's service account without a name", {"serviceAccount": {"create": False}}, "serviceAccount.name"),
    ("a name that leaves no room", {"deployment": "x" * 41}, "deployment"),
    ("a quantity that is none", {"holdfast": {"resources": {"limits": {"memory": "lots"}}}}, "lots"),
    ("a spare that the memory limit does not hold", {"jobManager": {"exec": {"warmSpare": True}}}, "3200Mi"),
    ("another way to restart", {"jobManager": {"restart": "Always"}}, "Always"),
]


def check(tools):
    """The number of traps, each of which caught what it is for."""
    good = build.chart(tools, MINIMAL)
    for what, spoil, complaint in IN_OBJECTS:
        bad = copy.deepcopy(good)
        spoil(bad)
        must_complain(what, complaint, lambda bad=bad: check_all(bad))
    for what, values, complaint in IN_VALUES:
        must_complain(what, complaint, lambda values=values: build.chart(tools, MINIMAL, values))
    must_complain("a spare whose REST API is closed", "after a takeover", lambda: spare_without_rest(tools))
    for text in ("a: on", "[y]", "No: 1"):
        must_complain(f"a bare boolean in {text!r}", "boolean to Kubernetes", lambda text=text: build.parse(text))
    must_complain("a native sidecar before it existed", "restartPolicy",
                  lambda: [schemas.check(found, "1.27") for found in good])
    must_complain("a key set twice", "twice", lambda: rules.unique_keys("a.b: 1\na.b: 2\n"))
    return len(IN_OBJECTS) + len(IN_VALUES) + 6


def spare_without_rest(tools):
    objects = build.chart(tools, MINIMAL, {
        "jobManager": {"exec": {"warmSpare": True}, "resources": {"limits": {"memory": "3200Mi"}}},
        "networkPolicy": {"clients": [{"podSelector": {}}]},
    })
    of_kind(objects, "NetworkPolicy")["spec"]["ingress"][1]["ports"].remove({"port": "rest-spare"})
    check_all(objects)


def check_dry_run(server, good):
    """That the API server itself would notice."""
    def spoilt(spoil):
        bad = copy.deepcopy(of_kind(good.objects, "Job"))
        spoil(bad["spec"]["template"]["spec"])
        return bad

    must_complain("a field that it drops", "restartPolice", lambda: server.check(spoilt(lambda s: s.update(restartPolice="x"))))
    must_complain("a restart policy that no Job has", "restartPolicy", lambda: server.check(spoilt(lambda s: s.update(restartPolicy="Always"))))


def check_all(objects):
    for found in objects:
        schemas.check(found, schemas.NATIVE[-1])
    rules.check(rules.Variant("helm trap", objects))


def must_complain(what, complaint, action):
    try:
        action()
    except Wrong as wrong:
        if complaint in str(wrong):
            return
        raise Wrong(f"trap: {what}: the complaint should say {complaint!r}, but: {wrong}") from None
    raise Wrong(f"trap: {what}: nothing complained")
