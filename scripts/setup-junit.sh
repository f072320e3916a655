#!/usr/bin/env bash
# Makes JUnit 5 available for flink-adapter/test.sh, from the Debian package `junit5`, and prints its class path.
#
#   scripts/setup-junit.sh
#
# Installs the package when it is missing and this is root on a system with apt; otherwise says what to install. The
# class path goes to standard output, everything else to standard error.
set -euo pipefail

java_dir=/usr/share/java
jars=(junit-jupiter-api junit-jupiter-engine junit-jupiter-params junit-platform-commons junit-platform-engine
    junit-platform-launcher junit-platform-console junit-platform-reporting opentest4j apiguardian-api picocli
    univocity-parsers open-test-reporting-tooling-spi open-test-reporting-events open-test-reporting-schema)
# Older and newer packages lack some of these; the console launcher starts without them.
optional=" junit-platform-reporting univocity-parsers open-test-reporting-tooling-spi open-test-reporting-events open-test-reporting-schema "

say() { printf 'setup-junit: %s\n' "$*" >&2; }

missing() {
    local jar
    for jar in "${jars[@]}"; do
        [[ -e $java_dir/$jar.jar || $optional == *" $jar "* ]] || printf '%s ' "$jar"
    done
}

if [[ -n $(missing) ]]; then
    if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
        say "installing the package junit5"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends junit5; } >&2
    else
        say "JUnit 5 is missing; install it as root: apt-get install junit5"
        exit 1
    fi
fi
[[ -z $(missing) ]] || { say "the package junit5 lacks: $(missing)"; exit 1; }

path=""
for jar in "${jars[@]}"; do
    [[ ! -e $java_dir/$jar.jar ]] || path+="${path:+:}$java_dir/$jar.jar"
done
printf '%s\n' "$path"
