#!/usr/bin/env bash
# Builds build/holdfast-flink-adapter.jar with a JDK alone.
#
#   flink-adapter/build.sh [-o JAR] FLINK_HOME...     for example the homes that scripts/setup-flink.sh prints
#
#   -o JAR   where to put it instead
#
# The common part is compiled against the oldest Flink given, and each API generation's part against the oldest given
# home of that generation: 1.20 (v120), 2.0 to 2.2 (v2), 2.3 (v23, on top of what v2 and v23 share). The jar works with
# the generations whose Flink was given.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
jar="$here/build/holdfast-flink-adapter.jar"

die() { printf 'build: %s\n' "$*" >&2; exit 1; }

if [[ ${1:-} == -o && $# -ge 2 ]]; then
    jar="$2"
    shift 2
fi
[[ $# -gt 0 ]] || die "usage: flink-adapter/build.sh [-o JAR] FLINK_HOME...   (scripts/setup-flink.sh gets them)"
for tool in javac jar; do
    command -v "$tool" >/dev/null || die "$tool is missing; a JDK of 11 or newer is needed (Debian: openjdk-17-jdk-headless)"
done

version_of() {
    local dist
    dist="$(compgen -G "$1/lib/flink-dist-*.jar")" || die "there is no lib/flink-dist-VERSION.jar in '$1'"
    dist="${dist##*/flink-dist-}"
    printf '%s\n' "${dist%.jar}"
}

# "VERSION HOME" of each home, oldest first.
homes="$(for home in "$@"; do printf '%s %s\n' "$(version_of "$home")" "$(cd "$home" && pwd)"; done | sort -V)"

# The oldest given home whose version matches; nothing when there is none.
oldest() { awk -v wanted="$1" '$1 ~ wanted { sub(/^[^ ]+ /, ""); print; exit }' <<<"$homes"; }

unknown="$(awk '$1 !~ /^1\.20\./ && $1 !~ /^2\./ { print $1 }' <<<"$homes")"
[[ -z $unknown ]] || die "Flink $unknown is not supported; allowed are 1.20 and 2.0 to 2.3"

classes="$(mktemp -d)"
trap 'rm -rf "$classes"' EXIT

# compile NAME HOME SOURCE...
compile() {
    local name="$1" home="$2"
    shift 2
    printf 'build: %-6s against Flink %s\n' "$name" "$(version_of "$home")"
    # classfile, processing: Flink's own classes mention annotations that its distribution leaves out.
    # try: its interfaces have a close() that throws Exception.
    javac --release 11 -proc:none -Xlint:all,-classfile,-processing,-options,-try -Werror \
        -cp "$classes:$home/lib/*" -d "$classes" "$@"
}

compile common "$(oldest '.')" "$here"/src/common/java/io/holdfast/flink/*.java
v120="$(oldest '^1[.]20[.]')" v2="$(oldest '^2[.][0-2][.]')" v23="$(oldest '^2[.]([3-9]|[0-9][0-9])[.]')"
v2_sources="$here/src/v2/java/io/holdfast/flink"
[[ -z $v120 ]] || compile v120 "$v120" "$here"/src/v120/java/io/holdfast/flink/*.java
if [[ -n $v2 ]]; then
    compile v2 "$v2" "$v2_sources"/*.java
elif [[ -n $v23 ]]; then
    # HaServices2 lacks what 2.3 demands of every implementation, so that it cannot be compiled against it.
    compile v2 "$v23" "$v2_sources/ExecutionPlanHaServices.java"
fi
[[ -z $v23 ]] || compile v23 "$v23" "$here"/src/v23/java/io/holdfast/flink/*.java

# What ServiceLoader looks for.
cp -R "$here/src/common/resources/." "$classes/"

# The same input gives the same bytes: sorted entries, and one date where `jar` can set it (JDK 17).
mkdir -p "$(dirname "$jar")"
jar="$(cd "$(dirname "$jar")" && pwd)/$(basename "$jar")"
manifest="$classes.manifest"
printf 'Implementation-Title: holdfast-flink-adapter\n' >"$manifest"
trap 'rm -rf "$classes" "$manifest"' EXIT
date_option=()
if jar --help-extra 2>/dev/null | grep -q -- --date || jar --help 2>/dev/null | grep -q -- --date; then
    date_option=(--date=2025-01-01T00:00:00Z)
fi
(cd "$classes" && find . -type f ! -name .list | LC_ALL=C sort | sed 's|^\./||' >"$classes/.list" &&
    jar --create --file "$jar.new" --manifest "$manifest" "${date_option[@]}" @"$classes/.list")
mv "$jar.new" "$jar"

supported="${v120:+1.20 }${v2:+2.0-2.2 }${v23:+2.3 }"
printf 'build: %s for Flink %s(%s bytes)\n' "${jar#"$PWD"/}" "$supported" "$(stat -c %s "$jar")"
