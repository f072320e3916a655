/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

import java.io.IOException;

/** What the sidecar answered to one attempt of a {@link SidecarCall}. */
final class SidecarAnswer {

    private final byte[] body;
    /** The {@code ETag} without its quotes; null when there was none. */
    final String version;
    /** Null for a success. */
    final Problem problem;
    /** What {@code Retry-After} asks for; 0 when it is absent. */
    final long retryAfterMs;

    SidecarAnswer(int status, byte[] body, String etag, long retryAfterMs) {
        this.body = body;
        this.version = etag == null ? null : etag.replace("\"", "");
        this.problem = status < 400 ? null : Problem.parse(status, body);
        this.retryAfterMs = retryAfterMs;
    }

    boolean is(String problemType) {
        return problem != null && problem.is(problemType);
    }

    /** False: the outcome is unknown, or the sidecar could not decide yet. */
    boolean definite() {
        return problem == null || !problem.worthRepeating();
    }

    byte[] bytes() {
        return body;
    }

    JsonNode json() throws IOException {
        return Json.parse(body);
    }
}
