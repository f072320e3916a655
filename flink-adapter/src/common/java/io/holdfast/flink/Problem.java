/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Set;

/**
 * An answer of 400 and above: {@code application/problem+json} of docs/protocol.md. Decisions hang on {@link #type} and
 * {@link #notRecorded} only; the detail is for people.
 */
final class Problem {

    static final String ALREADY_EXISTS = "already-exists";
    static final String STALE_VERSION = "stale-version";
    static final String FENCED = "fenced";
    static final String UNKNOWN_JOB = "unknown-job";
    static final String NO_GRAPH = "no-graph";
    static final String CORRUPT = "corrupt";
    static final String NO_PLAN = "no-plan";
    static final String UNKNOWN_RESULT = "unknown-result";

    private static final String PREFIX = "urn:holdfast:problem:";
    private static final Set<String> TRY_AGAIN = Set.of("unavailable", "not-ready", "too-many-streams");
    private static final int MAX_QUOTED_CHARS = 300;

    /** The last part of the type URN; empty when the answer was not a problem document. */
    final String type;
    final int status;
    /** Nothing of this attempt was stored or will be. False: it may have been, or may be later. */
    final boolean notRecorded;
    private final String detail;

    Problem(String type, int status, boolean notRecorded, String detail) {
        this.type = type;
        this.status = status;
        this.notRecorded = notRecorded;
        this.detail = detail;
    }

    /** An answer that cannot be read, or that some other process gave, says nothing about the write: unknown. */
    static Problem parse(int status, byte[] body) {
        try {
            JsonNode json = Json.parse(body);
            String type = json.path("type").asText("");
            if (type.startsWith(PREFIX)) {
                return new Problem(
                        type.substring(PREFIX.length()),
                        status,
                        "not-recorded".equals(json.path("outcome").asText()),
                        json.path("detail").asText(json.path("title").asText()));
            }
        } catch (IOException notJson) {
            return foreign(status, body, notJson.getMessage());
        }
        return foreign(status, body, "not a problem document");
    }

    private static Problem foreign(int status, byte[] body, String why) {
        String text = new String(body, 0, Math.min(body.length, MAX_QUOTED_CHARS), StandardCharsets.UTF_8);
        return new Problem("", status, false, why + ": " + text);
    }

    boolean is(String otherType) {
        return type.equals(otherType);
    }

    /** Repeating the identical request will give another answer sooner or later. */
    boolean worthRepeating() {
        return !notRecorded || TRY_AGAIN.contains(type);
    }

    @Override
    public String toString() {
        return (type.isEmpty() ? "status " + status : type + " (" + status + ")") + ": " + detail;
    }
}
