#!/usr/bin/env bash
# Installs the S3 server that tests/tests/store_s3.rs starts: ministack, from PyPI, into a virtual environment of
# its own under ${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-~/.cache}/holdfast}/s3-venv. Needs python3 and network access;
# touches nothing else. Does nothing when this version is installed already.
set -euo pipefail

version=1.5.33 # always one winner per race, measured; a newer one must be measured again
cache=${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast}
venv=$cache/s3-venv
stamp=$venv/holdfast-version

if [[ -x $venv/bin/ministack && $(cat "$stamp" 2>/dev/null) == "$version" ]]; then
  echo "setup-s3: ministack $version is installed in $venv"
  exit 0
fi

echo "setup-s3: installing ministack $version into $venv (about 90 MB)"
rm -rf "$venv"
mkdir -p "$cache"
# Debian ships venv in a package of its own; virtualenv will do as well.
if ! python3 -m venv "$venv" 2>/dev/null; then
  rm -rf "$venv"
  command -v virtualenv >/dev/null || {
    echo "setup-s3: neither 'python3 -m venv' (Debian: python3-venv) nor virtualenv works here" >&2
    exit 1
  }
  virtualenv --quiet "$venv"
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check "ministack==$version"
[[ -x $venv/bin/ministack ]] || { echo "setup-s3: ministack $version installed no bin/ministack" >&2; exit 1; }
echo "$version" > "$stamp"
echo "setup-s3: done; run: cargo test --workspace --features holdfast-tests/end-to-end --test store_s3"
