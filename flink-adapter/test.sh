#!/usr/bin/env bash
# Runs the adapter's tests against a real sidecar, once per given Flink, all of them at the same time.
#
#   flink-adapter/test.sh SIDECAR_BINARY FLINK_HOME...
#
# Builds a jar of its own for exactly these versions first; build/ keeps the one that is there. JUnit comes from scripts/setup-junit.sh. The counts of each version are
# printed at the end, with each test that failed and why; any failure makes the exit code 1. Logs: build/test-VERSION.log.
#
#   HOLDFAST_TEST    a regular expression of class names, to run some tests only (default: all)
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

die() { printf 'test: %s\n' "$*" >&2; exit 1; }

[[ $# -ge 2 ]] || die "usage: flink-adapter/test.sh SIDECAR_BINARY FLINK_HOME..."
[[ -x $1 ]] || die "'$1' is not an executable; build the sidecar first (cargo build --bin holdfast)"
sidecar="$(realpath "$1")"
shift
junit="$("$here/../scripts/setup-junit.sh")"
classes="$(mktemp -d)"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$classes"' EXIT
mkdir -p "$here/build"
jar="$classes/holdfast-flink-adapter.jar"
"$here/build.sh" -o "$jar" "$@"

# Compiles the tests against one Flink, and runs them; the process is the JVM's in the end.
run_tests() {
    local home="$1" version="$2" part
    case "$version" in
        1.20.*) part=test-v120 ;;
        2.[0-2].*) part=test-v2 ;;
        *) part=test-v23 ;;
    esac
    local path="$jar:$home/lib/*:$junit" log="$here/build/test-$version.log" out="$classes/$version"
    mkdir -p "$out"
    cat >"$out/log4j2-test.properties" <<PROPERTIES
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = $log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{HH:mm:ss,SSS} %-5p [%t] %c{1} %m%n
PROPERTIES
    rm -f "$log"
    javac --release 11 -proc:none -Xlint:all,-classfile,-processing,-options,-try,-path -Werror -cp "$path" -d "$out" \
        "$here"/src/test/java/io/holdfast/flink/*.java "$here/src/$part"/java/io/holdfast/flink/*.java
    exec java -Dholdfast.sidecar="$sidecar" -cp "$out:$path" org.junit.platform.console.ConsoleLauncher \
        --fail-if-no-tests --scan-classpath "$out" --include-classname "${HOLDFAST_TEST:-.*Test}" \
        --disable-banner --details tree --disable-ansi-colors
}

# At the same time: most of what they do is to wait.
versions=()
pids=()
for home in "$@"; do
    dist="$(compgen -G "$home/lib/flink-dist-*.jar")"
    version="${dist##*/flink-dist-}" version="${version%.jar}"
    versions+=("$version")
    run_tests "$home" "$version" >"$classes/$version.report" 2>&1 &
    pids+=($!)
done

summary=""
failed=0
for i in "${!versions[@]}"; do
    version="${versions[$i]}" report="$classes/${versions[$i]}.report"
    wait "${pids[$i]}" || failed=1
    printf 'test: Flink %s\n' "$version"
    cat "$report"
    # JUnit's list of failures: the test, and the exception after the arrow.
    failures="$(sed -nE "s/^  JUnit Jupiter:([A-Za-z0-9]+):(.*)$/test: Flink $version: FAILED \1.\2/p; s/^    => /    /p" "$report")"
    summary+="${failures:+$failures$'\n'}"
    count() { sed -n "s/^\[ *\([0-9]*\) tests $1.*/\1/p" "$report"; }
    summary+="test: Flink $version: $(count successful) passed, $(count failed) failed, $(count skipped) skipped"$'\n'
done
printf '%s' "$summary"
exit "$failed"
