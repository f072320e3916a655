#!/usr/bin/env bash
# Fuzzes the reader of _metadata for a while; a finding ends it with an error and is kept in artifacts/.
#
#   snapshot/fuzz/run.sh [SECONDS, default 600]
#
# The seeds are the real snapshots in snapshot/fixtures. What the fuzzer makes of them stays in corpus/, out of git.
# cargo-fuzz wants a nightly compiler; RUSTC_BOOTSTRAP lets the project's own one do.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
seconds="${1:-600}"

command -v cargo-fuzz >/dev/null || { echo "$0: cargo-fuzz is missing; run: cargo install --locked cargo-fuzz" >&2; exit 1; }
seeds="$(mktemp -d)"
trap 'rm -rf "$seeds"' EXIT
cp "$here"/../fixtures/*.metadata "$seeds"
mkdir -p "$here/corpus/metadata"
cd "$here/.."
RUSTC_BOOTSTRAP=1 cargo fuzz run metadata "$here/corpus/metadata" "$seeds" -- \
    -max_total_time="$seconds" -max_len=40000 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=64 -print_final_stats=1
