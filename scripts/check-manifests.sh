#!/usr/bin/env bash
# Checks every manifest of deploy/ without a cluster: renders the chart, builds the kustomizations, validates all objects
# strictly against the schemas of Kubernetes releases, checks what must fit together, and makes mistakes on purpose. Flinks
# and a kube-apiserver that are in the cache (scripts/setup-flink.sh, scripts/setup-k8s.sh) are asked as well.
#
#   scripts/check-manifests.sh            get what is missing, then check
#   scripts/check-manifests.sh --setup    only get what is missing
#
# No helm is to be had from PyPI, npm, crates.io or Debian. What helm renders with is: Go's text/template and the function
# library Sprig. deploy/check/helm-template is built from those two. All of it comes from Debian, by an apt with a
# configuration of its own: nothing is installed and root is not needed. 80 MB of downloads once; 170 MB stay in the cache.
#
#   HOLDFAST_CACHE   where the tools are put (default: ${XDG_CACHE_HOME:-$HOME/.cache}/holdfast)
#   DEBIAN_MIRROR    where trixie is (default: where apt of this machine has Debian)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kubernetes_validate=1.37.0
suite=trixie
go_version=1.24
# What the renderer imports, and what that imports.
go_packages=(golang-github-masterminds-sprig-dev golang-github-masterminds-goutils-dev
    golang-github-masterminds-semver-dev golang-github-google-uuid-dev golang-github-huandu-xstrings-dev
    golang-github-imdario-mergo-dev golang-github-mitchellh-copystructure-dev
    golang-github-mitchellh-reflectwalk-dev golang-github-shopspring-decimal-dev golang-github-spf13-cast-dev
    golang-golang-x-crypto-dev golang-gopkg-yaml.v3-dev)
renderer=deploy/check/helm-template/main.go
cache="${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast}"

say() { printf 'check-manifests: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Named after everything that they are made of, so that a change of one makes new ones.
tools="$cache/manifests-$({ printf '%s\n' "$kubernetes_validate $suite $go_version ${go_packages[*]}"; cat "$renderer"; } |
    sha256sum | cut -c 1-12)"

# What is asked for must start here, not only exist: a cache may have been brought from another machine.
complete() {
    "$tools/kustomize" version >/dev/null 2>&1 && "$tools/venv/bin/python" -c 'import kubernetes_validate' 2>/dev/null &&
        [[ -x $tools/helm-template && -f $tools/complete ]]
}

mirror() {
    local found=""
    found="$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 2>/dev/null |
        grep '/debian/*$' | head -n 1)" || true
    [[ -n ${DEBIAN_MIRROR:-$found} ]] || die 'apt knows no Debian mirror (run apt-get update), or set DEBIAN_MIRROR'
    printf '%s' "${DEBIAN_MIRROR:-$found}"
}

apt() {
    apt-get -qq -o Dir::Etc::SourceList="$aside/apt/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State="$aside/apt/state" -o Dir::State::status="$aside/apt/status" -o Dir::Cache="$aside/apt/cache" \
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 "$@" >&2
}

unpack_packages() {
    local from package
    from="$(mirror)"
    say "downloading kustomize, Go $go_version and Sprig from $from"
    mkdir -p "$aside"/apt/{state/lists/partial,cache/archives/partial} "$aside/packages"
    : >"$aside/apt/status"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$from" "$suite" \
        >"$aside/apt/sources.list"
    apt update || die "apt cannot read $suite from $from; name another with DEBIAN_MIRROR"
    (cd "$aside/packages" &&
        apt download kustomize "golang-$go_version-go" "golang-$go_version-src" "${go_packages[@]}") ||
        die "apt cannot get what is needed from $from"
    for package in "$aside"/packages/*.deb; do
        dpkg-deb -x "$package" "$aside/root"
    done
}

build_renderer() (
    say 'building helm-template (half a minute)'
    export GOROOT="$aside/root/usr/lib/go-$go_version" GOPATH="$aside/go" GOCACHE="$aside/go-cache" GOTMPDIR="$aside"
    export GO111MODULE=off GOFLAGS='' GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=0
    mkdir "$GOPATH"
    ln -s "$aside/root/usr/share/gocode/src" "$GOPATH/src"
    "$GOROOT/bin/go" build -trimpath -ldflags '-s -w' -o "$tools/helm-template" "$renderer"
)

make_venv() {
    say "installing kubernetes-validate $kubernetes_validate"
    # Debian ships venv in a package of its own; virtualenv will do as well.
    if ! python3 -m venv "$tools/venv" 2>/dev/null; then
        rm -rf "$tools/venv"
        command -v virtualenv >/dev/null || die "neither 'python3 -m venv' (Debian: python3-venv) nor virtualenv works here"
        virtualenv --quiet "$tools/venv"
    fi
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check "kubernetes-validate==$kubernetes_validate"
}

# Files that Go and dpkg left read-only must not keep the rest from being removed.
clean_up() {
    chmod -R u+w "$aside" 2>/dev/null || true
    rm -rf "$aside"
}

setup() {
    mkdir -p "$cache"
    # Two runs at once: the second waits, and finds everything there.
    exec 9>"$cache/.manifests.lock"
    flock 9
    ! complete || return 0
    command -v dpkg-deb >/dev/null || die 'needs apt-get and dpkg-deb (Debian or a relative)'
    command -v python3 >/dev/null || die 'python3 is missing (Debian: apt-get install python3 python3-venv)'
    rm -rf "$tools"
    mkdir "$tools"
    aside="$(mktemp -d "$cache/.manifests.XXXXXX")"
    trap clean_up EXIT
    unpack_packages
    install -m 755 "$aside/root/usr/bin/kustomize" "$tools/kustomize"
    build_renderer
    make_venv
    clean_up
    trap - EXIT
    touch "$tools/complete"
    complete || die "what was made in $tools does not start"
}

setup
[[ ${1:-} != --setup ]] || exit 0
exec "$tools/venv/bin/python" -B deploy/check/check.py "$tools" "$cache"
