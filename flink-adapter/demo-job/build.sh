#!/usr/bin/env bash
# Compiles the demo job against one Flink.
#
#   flink-adapter/demo-job/build.sh FLINK_HOME OUT_JAR
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

[[ $# -eq 2 ]] || { echo "usage: $0 FLINK_HOME OUT_JAR" >&2; exit 2; }
home="$1" jar="$2"
compgen -G "$home/lib/flink-dist-*.jar" >/dev/null || { echo "$0: no lib/flink-dist-*.jar in '$home'" >&2; exit 1; }
command -v javac >/dev/null || { echo "$0: javac is missing (Debian: apt-get install openjdk-17-jdk-headless)" >&2; exit 1; }

classes="$(mktemp -d)"
trap 'rm -rf "$classes"' EXIT
# -classfile: Flink's own classes mention annotations that its distribution leaves out.
javac --release 11 -Xlint:all,-classfile,-processing,-options -Werror -cp "$home/lib/*" -d "$classes" "$here"/src/io/holdfast/demo/*.java
mkdir -p "$(dirname "$jar")"
jar --create --file "$jar" --main-class io.holdfast.demo.DemoJob --date=2025-01-01T00:00:00Z -C "$classes" .
