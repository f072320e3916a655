#!/usr/bin/env bash
# Puts unmodified Apache Flink distributions into a cache directory, from PyPI alone.
#
#   scripts/setup-flink.sh 1.20.5 2.2.1 2.3.0
#
# Two packages of one version make the whole distribution: `apache-flink-libraries` has lib/, opt/ and plugins/
# (a wheel for 2.x; an sdist with the content under deps/ for 1.20), `apache-flink` has bin/ and conf/.
# A home that is complete is left alone. Prints the path of each home, one a line, on standard output; everything
# else goes to standard error.
#
#   HOLDFAST_CACHE   where the homes are put (default: ${XDG_CACHE_HOME:-$HOME/.cache}/holdfast)
set -euo pipefail

cache="${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast}"

say() { printf 'setup-flink: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

usage="usage: scripts/setup-flink.sh VERSION...   for example 1.20.5 2.2.1 2.3.0"

require_tools() {
    command -v python3 >/dev/null ||
        die "python3 is missing (Debian: apt-get install python3)"
    python3 -m pip --version >/dev/null 2>&1 ||
        die "pip is missing (Debian: apt-get install python3-pip)"
}

# A home is complete when what every caller needs is in it. `unpack` renames only a complete one into place.
complete() {
    local home="$1" version="$2"
    [[ -f $home/lib/flink-dist-$version.jar && -x $home/bin/jobmanager.sh && -f $home/bin/bash-java-utils.jar &&
       -f $home/conf/config.yaml ]]
}

# `apache-flink` is one wheel per Python and platform, but bin/ and conf/ are the same in all of them. Naming one makes
# the download independent of the Python and the processor of this machine.
download() {
    local version="$1" to="$2"
    say "$version: downloading about 300 MB from PyPI"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$to" \
        --only-binary :all: --python-version 3.11 --implementation cp --abi cp311 \
        --platform manylinux1_x86_64 --platform manylinux2014_x86_64 \
        "apache-flink==$version" >&2
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$to" \
        "apache-flink-libraries==$version" >&2
}

# Takes the distribution's directories out of the archives; the Python sources are left behind.
unpack() {
    local from="$1" home="$2"
    python3 - "$from" "$home" <<'PY'
import pathlib, shutil, sys, tarfile, zipfile

source, home = map(pathlib.Path, sys.argv[1:])
wanted = {"bin", "conf", "lib", "licenses", "log", "opt", "plugins"}


def target(name):
    """pyflink/lib/x.jar (wheel) or apache_flink_libraries-V/deps/lib/x.jar (sdist) -> lib/x.jar"""
    parts = pathlib.PurePosixPath(name).parts
    inside = parts[1:] if parts[:1] == ("pyflink",) else parts[2:] if parts[1:2] == ("deps",) else ()
    if len(inside) < 2 or inside[0] not in wanted or ".." in inside or inside[-1] in ("__init__.py",):
        return None
    return home.joinpath(*inside)


def put(stream, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        shutil.copyfileobj(stream, out, 1 << 20)


for archive in sorted(source.iterdir()):
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                if not name.endswith("/") and (path := target(name)):
                    with wheel.open(name) as stream:
                        put(stream, path)
    else:
        with tarfile.open(archive) as sdist:
            for member in sdist:
                if member.isfile() and (path := target(member.name)):
                    put(sdist.extractfile(member), path)
PY
    mkdir -p "$home/log"
    chmod +x "$home"/bin/*
}

setup() {
    local version="$1" home="$cache/flink-$1"
    [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "'$version' is not a Flink version. $usage"
    if complete "$home" "$version"; then
        say "$version: already in $home"
        printf '%s\n' "$home"
        return
    fi
    require_tools
    [[ ! -e $home ]] || die "$home exists but is not a complete Flink $version; remove it and run this again"
    mkdir -p "$cache"
    # Unpacked aside and renamed, so that a home which exists is always complete.
    aside="$(mktemp -d "$cache/.flink-$version.XXXXXX")"
    trap 'rm -rf "$aside"' EXIT
    mkdir "$aside/archives"
    download "$version" "$aside/archives"
    say "$version: unpacking"
    unpack "$aside/archives" "$aside/home"
    complete "$aside/home" "$version" || die "the PyPI packages of $version do not make a complete distribution"
    # Two runs at once: the first to rename wins, the other one finds the same content there.
    mv -T "$aside/home" "$home" 2>/dev/null || complete "$home" "$version" || die "cannot move to $home"
    rm -rf "$aside"
    trap - EXIT
    say "$version: done"
    printf '%s\n' "$home"
}

[[ $# -gt 0 ]] || die "$usage"
for version in "$@"; do
    setup "$version"
done
