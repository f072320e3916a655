"""Makes the objects of every variant: the chart through helm-template, the rest through kustomize."""

import pathlib
import shutil
import subprocess
import tempfile

import jsonschema
import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
CHART = DEPLOY / "helm" / "holdfast"
VALUES = DEPLOY / "check" / "values"


class Wrong(Exception):
    """A manifest is not as it must be. The message says which and why."""


class Tools:
    """The two programs that scripts/check-manifests.sh puts into the cache."""

    def __init__(self, directory):
        self.helm_template = pathlib.Path(directory) / "helm-template"
        self.kustomize = pathlib.Path(directory) / "kustomize"


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Wrong(done.stderr.strip())
    return done.stdout


def chart(tools, *values, release="orders", namespace="flink"):
    """The chart's objects under values.yaml and the given dictionaries, checked against its schema as helm does it."""
    check_values(values)
    with tempfile.TemporaryDirectory() as directory:
        files = []
        for number, content in enumerate(values):
            files.append(pathlib.Path(directory) / f"{number}.yaml")
            files[-1].write_text(yaml.safe_dump(content))
        out = pathlib.Path(directory) / "out"
        out.mkdir()
        run(tools.helm_template, CHART, release, namespace, out, *files)
        if not (out / "NOTES.txt").read_text().startswith("Deployment "):
            raise Wrong("NOTES.txt is not as it should be")
        return [document for file in sorted(out.glob("*.yaml")) for document in parse(file.read_text())]


def check_values(values):
    merged = yaml.safe_load((CHART / "values.yaml").read_text())
    for stronger in values:
        merge(merged, stronger)
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    validator = jsonschema.Draft7Validator(schema)
    validator.check_schema(schema)
    for error in validator.iter_errors(merged):
        raise Wrong(f"{'.'.join(str(part) for part in error.path)}: {error.message}")


def merge(values, stronger):
    for key, value in stronger.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            merge(values[key], value)
        elif value is None:
            values.pop(key, None)
        else:
            values[key] = value


def kustomization(tools, directory):
    return parse(run(tools.kustomize, "build", directory))


def orders_before_native_sidecars(tools):
    """What overlays/orders says to do on clusters before 1.29: another base, and nothing else."""
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory) / "kustomize"
        shutil.copytree(DEPLOY / "kustomize", copy)
        file = copy / "overlays" / "orders" / "kustomization.yaml"
        text = file.read_text()
        if text.count("- ../../base") != 1:
            raise Wrong("overlays/orders does not name its base as expected")
        file.write_text(text.replace("- ../../base", "- ../plain-sidecar"))
        return kustomization(tools, file.parent)


def parse(text):
    refuse_ambiguous(text)
    return [document for document in yaml.safe_load_all(text) if document]


# Kubernetes reads YAML 1.1, where these are not text. Who writes one of them means text, or should write true or false.
AMBIGUOUS = {"y", "n", "yes", "no", "on", "off"}


def refuse_ambiguous(text):
    for event in yaml.parse(text):
        if isinstance(event, yaml.ScalarEvent) and event.style is None and event.value.lower() in AMBIGUOUS:
            line = event.start_mark.line + 1
            raise Wrong(f"line {line}: a bare {event.value!r} is a boolean to Kubernetes; quote it, or write true or false")
