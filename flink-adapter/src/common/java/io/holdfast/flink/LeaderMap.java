/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.runtime.leaderelection.LeaderInformation;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

import java.io.IOException;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import java.util.UUID;

/** The addresses of the leader's components as of one moment; immutable. */
final class LeaderMap {

    /** Older than every epoch. */
    static final long NOBODY_LED_YET = 0;

    final long epoch;
    private final Map<String, LeaderInformation> components;

    private LeaderMap(long epoch, Map<String, LeaderInformation> components) {
        this.epoch = epoch;
        this.components = components;
    }

    static LeaderMap parse(JsonNode event) throws IOException {
        JsonNode leaders = Json.required(event, "leaders");
        Map<String, LeaderInformation> components = new HashMap<>();
        for (Iterator<String> names = leaders.fieldNames(); names.hasNext(); ) {
            String component = names.next();
            JsonNode leader = leaders.get(component);
            components.put(component, LeaderInformation.known(session(leader), Json.text(leader, "address")));
        }
        return new LeaderMap(event.path("epoch").isNull() ? NOBODY_LED_YET : Json.number(event, "epoch"), components);
    }

    private static UUID session(JsonNode leader) throws IOException {
        String text = Json.text(leader, "session");
        try {
            return UUID.fromString(text);
        } catch (IllegalArgumentException e) {
            throw new IOException("'" + text + "' is not a leader session id", e);
        }
    }

    /** Empty means that there is no such leader, which is something else than not knowing it. */
    LeaderInformation of(String component) {
        return components.getOrDefault(component, LeaderInformation.empty());
    }
}
