/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonProcessingException;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.IOException;

/** JSON with the Jackson that every flink-dist carries, so that this jar needs none of its own. */
final class Json {

    private static final ObjectMapper MAPPER = new ObjectMapper();

    private Json() {}

    static ObjectNode object() {
        return MAPPER.createObjectNode();
    }

    static JsonNode parse(byte[] json) throws IOException {
        return notNull(MAPPER.readTree(json));
    }

    static JsonNode parse(String json) throws IOException {
        return notNull(MAPPER.readTree(json));
    }

    /** Nothing at all is parsed as null. */
    private static JsonNode notNull(JsonNode node) {
        return node == null ? MAPPER.missingNode() : node;
    }

    static byte[] bytes(JsonNode json) {
        try {
            return MAPPER.writeValueAsBytes(json);
        } catch (JsonProcessingException impossible) {
            throw new IllegalStateException("a tree of plain values cannot be written", impossible);
        }
    }

    /** The text of a field that must be there. */
    static String text(JsonNode node, String field) throws IOException {
        return required(node, field).asText();
    }

    /** The number of a field that must be there. */
    static long number(JsonNode node, String field) throws IOException {
        JsonNode value = required(node, field);
        if (!value.isIntegralNumber()) {
            throw new IOException("the field '" + field + "' is not a whole number: " + value);
        }
        return value.asLong();
    }

    static JsonNode required(JsonNode node, String field) throws IOException {
        JsonNode value = node.get(field);
        if (value == null || value.isNull()) {
            throw new IOException("the field '" + field + "' is missing");
        }
        return value;
    }
}
