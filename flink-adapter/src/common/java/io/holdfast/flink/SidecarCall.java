/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;

/**
 * One intended request. It is immutable and is sent again unchanged, with the same {@code Idempotency-Key}, as often as
 * needed: that is what makes an unknown outcome decidable. A new intention is a new object.
 */
final class SidecarCall {

    private static final byte[] NOTHING = new byte[0];

    final String method;
    final String path;
    final byte[] body;
    final Map<String, String> headers;

    private SidecarCall(String method, String path, byte[] body, Map<String, String> headers) {
        this.method = method;
        this.path = path;
        this.body = body;
        this.headers = headers;
    }

    /** A request that needs no epoch. */
    static SidecarCall plain(String method, String path) {
        return new SidecarCall(method, path, NOTHING, Map.of());
    }

    /** A read that a restore depends on: the sidecar makes sure that the epoch is still the newest. */
    static SidecarCall read(String path, long epoch) {
        return plain("GET", path).with("Holdfast-Epoch", Long.toString(epoch));
    }

    static SidecarCall write(String method, String path, long epoch) {
        return plain(method, path)
                .with("Holdfast-Epoch", Long.toString(epoch))
                .with("Idempotency-Key", UUID.randomUUID().toString());
    }

    SidecarCall with(String header, String value) {
        Map<String, String> more = new LinkedHashMap<>(headers);
        more.put(header, value);
        return new SidecarCall(method, path, body, Map.copyOf(more));
    }

    SidecarCall json(JsonNode json) {
        return bytes(Json.bytes(json), "application/json");
    }

    SidecarCall bytes(byte[] content, String contentType) {
        return new SidecarCall(method, path, content, headers).with("Content-Type", contentType);
    }

    @Override
    public String toString() {
        return method + " " + path;
    }
}
