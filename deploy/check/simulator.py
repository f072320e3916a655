"""The Job that shards a night of the simulator: what no schema knows, its command line, and mistakes made on purpose."""

import copy
import os
import pathlib
import re
import subprocess

import rules
import schemas
import traps
from build import DEPLOY, Wrong, kustomization

ROOT = DEPLOY.parent
# Too new for the API server that can be had as a program; the schemas know them.
NEWER = ("completionMode", "backoffLimitPerIndex", "podFailurePolicy", "ttlSecondsAfterFinished")
# A place that nothing can be put into: whoever says so has understood everything before it, and runs nothing.
NOWHERE = "file:///dev/null/results"
# What the simulator's own image must have beside its sources, or it is not built, or not deterministic.
SOURCES = {".cargo", "scenarios", "Cargo.toml", "Cargo.lock"}


def check(tools):
    """The objects, which are good."""
    objects = kustomization(tools, DEPLOY / "simulator")
    check_all(objects)
    return objects


def check_all(objects):
    for release in schemas.NATIVE:
        for found in objects:
            schemas.check(found, release)
    job = only(objects, "Job")
    for rule in (shards, failures, deadlines):
        rule(job["spec"])
    pod(objects, job["spec"]["template"]["spec"])


def only(objects, kind):
    found = [each for each in objects if each["kind"] == kind]
    if len(found) != 1:
        raise Wrong(f"{len(found)} objects are a {kind}")
    return found[0]


def container(spec):
    return spec["template"]["spec"]["containers"][0]


def option(spec, name):
    args = container(spec)["args"]
    if args.count(name) != 1:
        raise Wrong(f"{name} is there {args.count(name)} times")
    return args[args.index(name) + 1]


def shards(spec):
    """As many completions as shards, each with its own index."""
    shard = option(spec, "--shard")
    if spec.get("completionMode") != "Indexed" or shard != f"$(JOB_COMPLETION_INDEX)/{spec['completions']}":
        raise Wrong(f"{spec['completions']} completions, mode {spec.get('completionMode')}, run --shard {shard}")
    if int(option(spec, "--seeds")) < spec["completions"]:
        raise Wrong("there are fewer seeds than shards")


def failures(spec):
    """A broken promise is final, a disruption counts for nothing, the rest is tried again."""
    if spec["template"]["spec"]["restartPolicy"] != "Never" or not spec.get("backoffLimitPerIndex"):
        raise Wrong("a podFailurePolicy with FailIndex needs restartPolicy Never and a backoffLimitPerIndex")
    expected = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailIndex",
         "onExitCodes": {"containerName": container(spec)["name"], "operator": "In", "values": [1]}},
    ]
    if spec["podFailurePolicy"]["rules"] != expected:
        raise Wrong(f"the podFailurePolicy is another one: {spec['podFailurePolicy']['rules']}")


def deadlines(spec):
    """A shard that is tried again is not cut off, and what is done goes away."""
    number, unit = re.fullmatch(r"([0-9]+)([smh])", option(spec, "--time-limit")).groups()
    limit_s = int(number) * {"s": 1, "m": 60, "h": 3600}[unit]
    waves = -(-spec["completions"] // spec["parallelism"])
    if spec["activeDeadlineSeconds"] <= 2 * waves * limit_s:
        raise Wrong(f"activeDeadlineSeconds {spec['activeDeadlineSeconds']} leaves no second try within --time-limit")
    if not spec.get("ttlSecondsAfterFinished"):
        raise Wrong("the Job stays, and the next night's cannot be made")


def pod(objects, spec):
    if spec["securityContext"].get("runAsNonRoot") is not True or spec["securityContext"].get("seccompProfile") is None:
        raise Wrong("a pod may run as root, or call what it likes")
    if spec.get("automountServiceAccountToken") is not False:
        raise Wrong("it is given a token, and needs none")
    if spec["serviceAccountName"] != only(objects, "ServiceAccount")["metadata"]["name"]:
        raise Wrong("it runs as another service account")
    [each] = spec["containers"]
    security = each["securityContext"]
    bounds = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    if any(security.get(name) != value for name, value in bounds.items()) or not security.get("runAsUser"):
        raise Wrong(f"container {each['name']} keeps privileges")
    if ":" not in each["image"].split("/")[-1]:
        raise Wrong(f"container {each['name']} names no version of its image: {each['image']!r}")
    for quantity in [q for part in ("requests", "limits") for q in (each["resources"][part]["cpu"], each["resources"][part]["memory"])]:
        if not rules.QUANTITY.match(str(quantity)):
            raise Wrong(f"container {each['name']}: {quantity!r} is not a quantity")
    settings = only(objects, "ConfigMap")
    if {"configMapRef": {"name": settings["metadata"]["name"]}} not in each["envFrom"] or "RESULTS" not in settings["data"]:
        raise Wrong("RESULTS comes from nowhere")


def binary():
    """The simulator, if it was built: as cargo leaves it, the newest one."""
    target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
    built = [path for path in (target / profile / "holdfast-sim" for profile in ("debug", "release")) if path.exists()]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


def command_lines(program, objects):
    """Every pod's command line, as the kubelet makes it, given to the program itself. Their number."""
    spec = only(objects, "Job")["spec"]
    for index in range(spec["completions"]):
        known = {"JOB_COMPLETION_INDEX": str(index), "RESULTS": NOWHERE}
        args = [re.sub(r"\$\(([A-Z_]+)\)", lambda found: known.get(found[1], found[0]), each) for each in container(spec)["args"]]
        done = subprocess.run([program, *args], capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 2 or "so nothing was run" not in done.stderr or done.stdout:
            raise Wrong(f"{pathlib.Path(program).name} {' '.join(args)} is not understood: {done.stderr.strip()[:500]}")
    return spec["completions"]


def for_old_server(found, namespace):
    """Without the fields that are too new for it, which the schemas know; the rest is asked of it."""
    kept = {**found, "metadata": {**found["metadata"], "namespace": namespace}}
    if found["kind"] == "Job":
        kept["spec"] = {key: value for key, value in found["spec"].items() if key not in NEWER}
    return kept


def containerfile():
    """Everything that the workspace is built from gets into the image's build."""
    text = (DEPLOY / "Containerfile").read_text()
    copied = {source for line in re.findall(r"^COPY (?!--)(.*)$", text, re.MULTILINE) for source in line.split()[:-1]}
    members = set(re.search(r"members = \[(.*)\]", (ROOT / "Cargo.toml").read_text())[1].replace('"', "").split(", "))
    # A directory brings what is below it.
    missing = {each for each in SOURCES | members if not any(each == of or each.startswith(f"{of}/") for of in copied)}
    if missing:
        raise Wrong(f"deploy/Containerfile does not copy {sorted(missing)}")


def spec_of(objects):
    return only(objects, "Job")["spec"]


def replace(objects, old, new):
    args = container(spec_of(objects))["args"]
    args[args.index(old)] = new


TRAPS = [
    ("a misspelt field", lambda o: spec_of(o).update(completionsMode="Indexed"), "completionsMode"),
    ("one completion more", lambda o: spec_of(o).update(completions=21), "21 completions"),
    ("shards of another number", lambda o: replace(o, "$(JOB_COMPLETION_INDEX)/20", "$(JOB_COMPLETION_INDEX)/10"), "/10"),
    ("no index", lambda o: spec_of(o).pop("completionMode"), "mode None"),
    ("too few seeds", lambda o: replace(o, "1000000", "19"), "fewer seeds"),
    ("restarts in place", lambda o: spec_of(o)["template"]["spec"].update(restartPolicy="OnFailure"), "restartPolicy Never"),
    ("a violation that is tried again", lambda o: spec_of(o)["podFailurePolicy"]["rules"].pop(), "another one"),
    ("no second try", lambda o: spec_of(o).update(activeDeadlineSeconds=40_000), "no second try"),
    ("waves", lambda o: spec_of(o).update(parallelism=10), "no second try"),
    ("a Job that stays", lambda o: spec_of(o).pop("ttlSecondsAfterFinished"), "the Job stays"),
    ("a root container", lambda o: spec_of(o)["template"]["spec"]["securityContext"].pop("runAsNonRoot"), "as root"),
    ("no settings", lambda o: container(spec_of(o))["envFrom"].pop(0), "RESULTS"),
]
# What only the program itself can know.
IN_ARGS = [
    ("an option that it does not have", "--seeds", "--seed-count"),
    ("a scenario that is not shipped", "swarm", "swarms"),
    ("a time without a unit", "7h", "7"),
    ("a shard from 1", "$(JOB_COMPLETION_INDEX)/20", "20/20"),
]


def check_traps(good):
    for what, spoil, complaint in TRAPS:
        bad = copy.deepcopy(good)
        spoil(bad)
        traps.must_complain(what, complaint, lambda bad=bad: check_all(bad))
    return len(TRAPS)


def check_command_lines(program, good):
    """How many command lines were understood, and how many planted mistakes were not."""
    for what, old, new in IN_ARGS:
        bad = copy.deepcopy(good)
        replace(bad, old, new)
        traps.must_complain(what, "is not understood", lambda bad=bad: command_lines(program, bad))
    return command_lines(program, good), len(IN_ARGS)
