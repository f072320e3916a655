#!/usr/bin/env bash
# Builds a real kube-apiserver and puts it beside an etcd into the cache, from Debian's packages alone.
#
#   scripts/setup-k8s.sh
#
# No Debian suite has kube-apiserver as a program, but bookworm's source package `kubernetes` is the whole upstream
# 1.20.2 with its dependencies, and builds with bookworm's Go. Everything is fetched by apt with a configuration of its
# own (signatures are checked against the Debian keyring), unpacked aside and removed afterwards: nothing is installed,
# nothing is started and root is not needed. Takes seven to ten minutes on two cores, 150 MB of downloads and, while it
# runs, 2.5 GB; 130 MB stay.
#
# A directory that is complete is left alone. Prints its path on standard output; everything else goes to standard error.
#
#   HOLDFAST_CACHE   where it is put (default: ${XDG_CACHE_HOME:-$HOME/.cache}/holdfast)
#   DEBIAN_MIRROR    where bookworm is (default: where apt of this machine has it)
set -euo pipefail

version=1.20.2
suite=bookworm
go_version=1.19
cache="${HOLDFAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/holdfast}"
home="$cache/k8s-$version"
kubernetes=k8s.io/kubernetes

say() { printf 'setup-k8s: %4d s  %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'setup-k8s: %s\n' "$*" >&2; exit 1; }

# What is asked for must start here, not only exist: a cache may have been brought from another machine.
complete() {
    "$1/kube-apiserver" --version >/dev/null 2>&1 && "$1/etcd" --version >/dev/null 2>&1
}

require_tools() {
    { command -v apt-get && command -v dpkg-deb; } >/dev/null ||
        die "needs apt-get and dpkg-deb (Debian or a relative); elsewhere put kube-apiserver $version and etcd 3.4 into $home"
    command -v openssl >/dev/null || die "openssl is missing: the tests make keys with it (Debian: apt-get install openssl)"
    [[ -r /usr/share/keyrings/debian-archive-keyring.gpg ]] ||
        die "Debian's keys are missing; install the package debian-archive-keyring"
    local free_kb
    free_kb="$(df --output=avail "$cache" | tail -n 1)"
    ((free_kb > 2600000)) || die "$cache has $((free_kb / 1024)) MB free; the build needs 2600"
}

mirror() {
    local found=""
    found="$(apt-get indextargets --format "\$(CODENAME) \$(REPO_URI)" 'Created-By: Packages' 2>/dev/null |
        sed -n "s/^$suite //p" | head -n 1)" || true
    [[ -n ${DEBIAN_MIRROR:-$found} ]] || die 'apt knows no Debian mirror (run apt-get update), or set DEBIAN_MIRROR'
    printf '%s' "${DEBIAN_MIRROR:-$found}"
}

# apt with lists, caches and sources of its own.
apt() {
    apt-get -qq -o Dir::Etc::SourceList="$aside/apt/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State="$aside/apt/state" -o Dir::State::status="$aside/apt/status" -o Dir::Cache="$aside/apt/cache" \
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=3 "$@" >&2
}

download() {
    local from
    from="$(mirror)"
    say "downloading Kubernetes $version, Go $go_version and etcd from $from"
    mkdir -p "$aside"/apt/{state/lists/partial,cache/archives/partial} "$aside/packages"
    : >"$aside/apt/status"
    local keys='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
    printf '%s\n' "deb $keys $from $suite main" "deb-src $keys $from $suite main" >"$aside/apt/sources.list"
    apt update || die "apt cannot read $suite from $from; name another with DEBIAN_MIRROR"
    (cd "$aside/packages" &&
        apt download "golang-$go_version-go" "golang-$go_version-src" golang-github-modern-go-reflect2-dev etcd-server &&
        apt source --download-only kubernetes) || die "apt cannot get what is needed from $from"
}

unpack() {
    local package orig
    for package in "$aside"/packages/*.deb; do
        dpkg-deb -x "$package" "$aside/root"
    done
    orig="$(echo "$aside"/packages/kubernetes_*really"$version".orig.tar.gz)"
    [[ -f $orig ]] || die "Debian's kubernetes is no longer $version: $(echo "$aside"/packages/kubernetes_*)"
    mkdir -p "$source_tree"
    tar -xzf "$orig" -C "$source_tree" --strip-components=1
    # The tree carries reflect2 1.0.1, which corrupts memory under Go 1.18 and newer: the first merge patch then panics
    # the request or kills the server. Debian packages 1.0.2, which is cured.
    rm -rf "$source_tree/vendor/github.com/modern-go/reflect2"
    cp -r "$aside/root/usr/share/gocode/src/github.com/modern-go/reflect2" "$source_tree/vendor/github.com/modern-go/"
    rm -rf "$aside/packages" "$aside/apt"
}

# The OpenAPI definitions are not in the tree: made here as the upstream Makefile makes them.
generate() {
    say "generating the OpenAPI definitions"
    go build -o "$aside/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
    local packages
    packages="$(grep -rl --include='*.go' -e '^// *+k8s:openapi-gen=' cmd pkg plugin vendor/k8s.io/*/ |
        grep -v -e '_test\.go$' -e /testdata/ \
            -e '^vendor/k8s\.io/\(code-generator\|sample-apiserver\|kube-openapi\|gengo\)/' |
        xargs -n 1 dirname | sort -u | sed "s#^#$kubernetes/#" | paste -sd,)"
    "$aside/openapi-gen" -i "$packages" -p "$kubernetes/pkg/generated/openapi" -O zz_generated.openapi \
        -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r /dev/null
}

build() (
    cd "$source_tree"
    export GOROOT="$aside/root/usr/lib/go-$go_version" GOPATH="$aside/go" GOCACHE="$aside/go-cache" GOTMPDIR="$aside"
    export GO111MODULE=off GOFLAGS='' GOPROXY=off CGO_ENABLED=0 PATH="$aside/root/usr/lib/go-$go_version/bin:$PATH"
    generate
    say "compiling kube-apiserver: some minutes without a word"
    local flags='-s -w' at
    for at in component-base/version client-go/pkg/version; do
        at="$kubernetes/vendor/k8s.io/$at"
        flags+=" -X $at.gitVersion=v$version -X $at.gitMajor=${version%%.*} -X $at.gitMinor=$(cut -d . -f 2 <<<"$version")"
    done
    go build -trimpath -ldflags "$flags" -o "$aside/home/kube-apiserver" ./cmd/kube-apiserver
)

# Files that Go and dpkg left read-only must not keep the rest from being removed.
clean_up() {
    chmod -R u+w "$aside" 2>/dev/null || true
    rm -rf "$aside"
}

if complete "$home"; then
    printf 'setup-k8s: already in %s\n' "$home" >&2
    printf '%s\n' "$home"
    exit 0
fi
[[ ! -e $home ]] || die "$home exists, but its kube-apiserver and etcd do not both start; remove it and run this again"
mkdir -p "$cache"
require_tools
# Built aside and renamed, so that a directory which exists is always complete.
aside="$(mktemp -d "$cache/.k8s-$version.XXXXXX")"
trap clean_up EXIT
source_tree="$aside/go/src/$kubernetes"
download
unpack
mkdir "$aside/home"
install -m 755 "$aside/root/usr/bin/etcd" "$aside/home/etcd"
build
complete "$aside/home" || die "what was built does not start"
# Two runs at once: the first to rename wins, the other one finds the same content there.
mv -T "$aside/home" "$home" 2>/dev/null || complete "$home" || die "cannot move to $home"
say "done: $home"
printf '%s\n' "$home"
