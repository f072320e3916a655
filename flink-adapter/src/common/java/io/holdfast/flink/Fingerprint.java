/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a graph was made from, in a line: {@code flink=2.2.1,program=…,jars=…,configuration=…,given=…}. It is kept beside
 * the stored graph and only ever compared. It has hashes and no values, because a configuration can hold secrets.
 */
final class Fingerprint {

    private final String line;

    private Fingerprint(String line) {
        this.line = line;
    }

    /** @param parts visible ASCII without {@code ,} and {@code =}; 256 characters together at most */
    static Fingerprint of(Map<String, String> parts) {
        List<String> pairs = new ArrayList<>();
        parts.forEach((name, value) -> pairs.add(name + "=" + value));
        return new Fingerprint(String.join(",", pairs));
    }

    /** The parts that another one has otherwise, or does not have; empty when they are the same. */
    List<String> differencesFrom(String recorded) {
        Map<String, String> here = parts(line);
        Map<String, String> there = parts(recorded);
        List<String> different = new ArrayList<>();
        here.forEach(
                (name, value) -> {
                    if (!value.equals(there.remove(name))) {
                        different.add(name);
                    }
                });
        different.addAll(there.keySet());
        return different;
    }

    private static Map<String, String> parts(String line) {
        Map<String, String> parts = new LinkedHashMap<>();
        for (String pair : line.split(",")) {
            int equals = pair.indexOf('=');
            parts.put(equals < 0 ? pair : pair.substring(0, equals), equals < 0 ? "" : pair.substring(equals + 1));
        }
        return parts;
    }

    @Override
    public String toString() {
        return line;
    }
}
