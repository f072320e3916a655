"""Asks real Flinks, where there are any: do they take the configuration, and find the adapter in a directory below lib/?"""

import os
import pathlib
import subprocess
import tempfile

from build import Wrong

# Flink's own scripts read the configuration and list the jars, as they do when a JobManager starts. They take the home
# from the path of the script that reads them.
ASK = '. "${0%/*}/config.sh" >/dev/null || exit 1; printf "%s\\n" "$YAML_CONF"; constructFlinkClassPath'


def check(home, config_yaml):
    with tempfile.TemporaryDirectory() as directory:
        conf, lib = pathlib.Path(directory) / "conf", pathlib.Path(directory) / "lib"
        (lib / "holdfast").mkdir(parents=True)
        conf.mkdir()
        (conf / "config.yaml").write_text(config_yaml)
        jar = lib / "holdfast" / "holdfast-flink-adapter.jar"
        jar.touch()
        for own in (pathlib.Path(home) / "lib").iterdir():
            (lib / own.name).symlink_to(own)
        environment = {**os.environ, "FLINK_CONF_DIR": str(conf), "FLINK_LIB_DIR": str(lib)}
        command = ["bash", "-c", ASK, f"{home}/bin/standalone-job.sh"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise Wrong(f"{home} does not take the configuration: {done.stdout[-500:]}{done.stderr[-500:]}")
        if str(jar) not in done.stdout.splitlines()[-1].split(":"):
            raise Wrong(f"{home} does not look for jars below lib/")
        for line in ("high-availability.type: io.holdfast.flink.HoldfastHaServicesFactory", "blob.server.port: "):
            if not any(read.startswith(line) for read in done.stdout.splitlines()):
                raise Wrong(f"{home} does not read {line!r} out of the configuration")
