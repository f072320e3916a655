#!/usr/bin/env bash
# `make demo`: gets and builds what the demo needs, then runs it. Ends with a line that begins with RESULT.
#
#   FLINK_HOME       a Flink 1.20 to 2.3 distribution to use; unset: Flink 2.2.1, downloaded once into the cache
#   HOLDFAST_CACHE   the cache (default: ${XDG_CACHE_HOME:-$HOME/.cache}/holdfast)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

flink_version=2.2.1

fail() {
    printf 'RESULT failed %s\n' "$*"
    exit 1
}

# Names everything that is missing at once, each with a way to get it.
require_tools() {
    local missing=0
    need() {
        command -v "$1" >/dev/null && return
        printf 'missing: %-8s %s\n' "$1" "$2"
        missing=1
    }
    need cargo 'Rust 1.95 or newer, from rustup'
    need cc 'a C compiler (Debian: apt-get install build-essential)'
    need javac 'a JDK, 11 or newer (Debian: apt-get install default-jdk-headless)'
    [[ -n ${FLINK_HOME:-} ]] || need python3 'Python 3 with pip, to get Flink (Debian: apt-get install python3-pip)'
    [[ $missing == 0 ]] || fail 'something that the demo needs is missing'
}

# Runs a step quietly; what it printed is shown when it fails.
step() {
    local what="$1"
    shift
    printf '         %s\n' "$what"
    local log
    log="$(mktemp)"
    if ! "$@" >"$log" 2>&1; then
        cat "$log"
        rm -f "$log"
        fail "$what: see above"
    fi
    rm -f "$log"
}

require_tools
if [[ -z ${FLINK_HOME:-} ]]; then
    # Its progress goes to standard error: the first download takes a while.
    FLINK_HOME="$(scripts/setup-flink.sh "$flink_version")" || fail "Flink $flink_version is not in the cache"
fi
dist=("$FLINK_HOME"/lib/flink-dist-*.jar)
[[ -f ${dist[0]} ]] || fail "FLINK_HOME=$FLINK_HOME holds no lib/flink-dist-VERSION.jar"
version="${dist[0]##*/flink-dist-}"
version="${version%.jar}"

step 'building the sidecar (a few minutes the first time)' \
    cargo build --release --locked --bin holdfast --bin holdfast-demo
step "building the adapter for Flink $version" flink-adapter/build.sh "$FLINK_HOME"
step 'building the demo job' \
    flink-adapter/demo-job/build.sh "$FLINK_HOME" "target/demo-job/demo-job-$version.jar"
exec target/release/holdfast-demo --flink-home "$FLINK_HOME"
