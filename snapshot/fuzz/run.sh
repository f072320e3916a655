#!/usr/bin/env bash
# Fuzzes the reader of _metadata for a while; a finding ends it with an error and is kept in artifacts/.
#
#   snapshot/fuzz/run.sh [SECONDS, default 600]
#
# The seeds are the real snapshots in snapshot/fixtures. What the fuzzer makes of them stays in corpus/, out of git.
# cargo-fuzz wants a nightly compiler; RUSTC_BOOTSTRAP lets the project's own one do. cargo-fuzz itself is built into
# the cache when it is not there: ${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast}/tools
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
seconds="${1:-600}"
cargo_fuzz_version=0.13.2
cache="${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast}"
export PATH="$cache/tools/bin:$PATH"

install_cargo_fuzz() {
    local found
    found="$(cargo-fuzz --version 2>/dev/null || true)"
    [[ $found != "cargo-fuzz $cargo_fuzz_version" ]] || return 0
    echo "fuzz: building cargo-fuzz $cargo_fuzz_version into $cache/tools (a few minutes, once)"
    # Its own target directory, so that the build can be kept apart from the project's and thrown away. Forced: another
    # version may be there. From elsewhere: the project's compiler flags are not for it.
    (cd / && CARGO_TARGET_DIR="$cache/tools/build-fuzz" \
        cargo install --quiet --locked --force --root "$cache/tools" "cargo-fuzz@$cargo_fuzz_version")
    rm -rf "$cache/tools/build-fuzz"
}

install_cargo_fuzz
seeds="$(mktemp -d)"
trap 'rm -rf "$seeds"' EXIT
cp "$here"/../fixtures/*.metadata "$seeds"
mkdir -p "$here/corpus/metadata"
cd "$here/.."
RUSTC_BOOTSTRAP=1 cargo fuzz run metadata "$here/corpus/metadata" "$seeds" -- \
    -max_total_time="$seconds" -max_len=40000 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=64 -print_final_stats=1
