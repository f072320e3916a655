"""Strict validation against the schemas of Kubernetes releases, offline, and against the operator's resource."""

import functools

import jsonschema
import kubernetes_validate
from kubernetes_validate import utils

from build import Wrong

# Read once instead of for every object.
utils.schema_contents = functools.lru_cache(maxsize=None)(utils.schema_contents)

# Holdfast's native sidecar needs 1.29; the variant without it is checked from the oldest schemas on that there are.
NATIVE = ["1.29", "1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"]
ALL = ["1.25", "1.26", "1.27", "1.28", *NATIVE]

# The fields of flink.apache.org/v1beta1 FlinkDeployment at version 1.16 of the operator, as far as they are used here.
# Its pod templates are pods, and checked as such.
FLINK_DEPLOYMENT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "flinkVersion", "serviceAccount", "flinkConfiguration", "job", "jobManager", "taskManager"],
    "properties": {
        "image": {"type": "string"},
        "flinkVersion": {"enum": ["v1_20", "v2_0", "v2_1", "v2_2", "v2_3"]},
        "serviceAccount": {"type": "string"},
        "flinkConfiguration": {"type": "object", "additionalProperties": {"type": "string"}},
        "job": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "jarURI": {"type": "string"},
                "parallelism": {"type": "integer"},
                # last-state is allowed by the operator, and fails with us.
                "upgradeMode": {"enum": ["savepoint", "stateless"]},
            },
        },
        "jobManager": {"$ref": "#/definitions/part"},
        "taskManager": {"$ref": "#/definitions/part"},
    },
    "definitions": {
        "part": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "resource": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"memory": {"type": "string"}, "cpu": {"type": "number"}},
                },
                "podTemplate": {"type": "object"},
            },
        }
    },
}


def check(found, release):
    name = f"{found['kind']} {found['metadata']['name']}"
    try:
        if found["kind"] == "FlinkDeployment":
            jsonschema.Draft7Validator(FLINK_DEPLOYMENT).validate(found["spec"])
            for part in ("jobManager", "taskManager"):
                kubernetes_validate.validate(found["spec"][part]["podTemplate"], release, strict=True)
        else:
            kubernetes_validate.validate(found, release, strict=True)
    except jsonschema.ValidationError as error:
        path = ".".join(str(part) for part in error.path)
        raise Wrong(f"Kubernetes {release}: {name}: {path}: {error.message[:300]}") from None
