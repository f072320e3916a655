"""A real API server's opinion: every object is sent to it as a dry run, and what comes back must hold all that was sent.

Version 1.20 is what can be had as a program (scripts/setup-k8s.sh). It drops fields that it does not know without a word,
hence the comparison; a Job with a native sidecar is too new for it.
"""

import contextlib
import json
import pathlib
import random
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from build import Wrong

PATHS = {
    "ConfigMap": ("api/v1", "configmaps"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "Job": ("apis/batch/v1", "jobs"),
    "NetworkPolicy": ("apis/networking.k8s.io/v1", "networkpolicies"),
    "Role": ("apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "Secret": ("api/v1", "secrets"),
    "Service": ("api/v1", "services"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
}

NAMESPACE = "flink"
TOKEN = "check-manifests"  # of a server that listens on loopback for some seconds and holds nothing
START_LIMIT_S = 90


class ApiServer:
    def __init__(self, port):
        self.root = f"https://127.0.0.1:{port}/"
        self.tls = ssl.create_default_context()
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE

    def ask(self, path, body=None):
        request = urllib.request.Request(self.root + path, data=json.dumps(body).encode() if body else None)
        request.add_header("Authorization", f"Bearer {TOKEN}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, context=self.tls, timeout=30) as answer:
            return answer.read()

    def check(self, found):
        group, plural = PATHS[found["kind"]]
        name = f"{found['kind']} {found['metadata']['name']}"
        try:
            kept = json.loads(self.ask(f"{group}/namespaces/{NAMESPACE}/{plural}?dryRun=All", found))
        except urllib.error.HTTPError as error:
            raise Wrong(f"API server: {name}: {json.loads(error.read())['message'][:500]}") from None
        sent = {**found}
        sent.pop("stringData", None)  # comes back as data
        lost = missing(sent, kept, "")
        if lost:
            raise Wrong(f"API server: {name}: it does not know {lost}")


def missing(sent, kept, path):
    """The path of the first thing that was sent and is not there, or None. Amounts may come back in other words."""
    if isinstance(sent, dict):
        pairs = [(key, value, kept.get(key)) for key, value in sent.items()] if isinstance(kept, dict) else []
    elif isinstance(sent, list):
        pairs = [(i, value, kept[i]) for i, value in enumerate(sent)] if isinstance(kept, list) and len(kept) == len(sent) else []
    else:
        return None
    if sent and not pairs:
        return path
    for key, value, found in pairs:
        if found is None and value not in (None, "", {}, []):
            return f"{path}.{key}"
        lost = missing(value, found, f"{path}.{key}")
        if lost:
            return lost
    return None


@contextlib.contextmanager
def started(home):
    home = pathlib.Path(home)
    if not shutil.which("openssl"):
        raise Wrong("openssl is missing, to make the API server's key (Debian: apt-get install openssl)")
    with tempfile.TemporaryDirectory(prefix="check-manifests-") as directory, contextlib.ExitStack() as stack:
        directory = pathlib.Path(directory)
        key = directory / "service-account.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (directory / "tokens.csv").write_text(f"{TOKEN},check,check,system:masters\n")
        client, peer, port = free_ports(3)
        start(stack, directory, [
            home / "etcd", "--data-dir", directory / "etcd", "--unsafe-no-fsync", *etcd_urls(client, peer)])
        start(stack, directory, [
            home / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{client}", f"--secure-port={port}",
            "--bind-address=127.0.0.1", f"--cert-dir={directory}/certificates", "--authorization-mode=RBAC",
            f"--token-auth-file={directory}/tokens.csv", "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.0.0.0/24", "--disable-admission-plugins=ServiceAccount"])
        server = ApiServer(port)
        wait(server)
        yield server


def etcd_urls(client, peer):
    for option, port in (("client", client), ("peer", peer)):
        yield from (f"--listen-{option}-urls", f"http://127.0.0.1:{port}")
    yield from ("--advertise-client-urls", f"http://127.0.0.1:{client}")
    yield from ("--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}")
    yield from ("--initial-cluster", f"default=http://127.0.0.1:{peer}")


def start(stack, directory, command):
    log = stack.enter_context(open(directory / f"{command[0].name}.log", "w"))
    process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, cwd=directory)
    stack.callback(process.wait)
    stack.callback(process.kill)


def wait(server):
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            server.ask("api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
            server.ask("readyz")
            return
        except urllib.error.HTTPError as error:
            if error.code == 409:  # the namespace is there, the rest not ready yet
                with contextlib.suppress(OSError):
                    server.ask("readyz")
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise Wrong(f"the API server did not start within {START_LIMIT_S} s")
        time.sleep(0.2)


def free_ports(count):
    """Ports below the range from which the kernel serves whoever asks for any: nobody else is given one by accident."""
    ports = []
    for port in random.sample(range(10_000, 32_768), 1_000):
        with contextlib.suppress(OSError), socket.socket() as each:
            each.bind(("127.0.0.1", port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise Wrong("no free port was found from 10000 to 32767")
