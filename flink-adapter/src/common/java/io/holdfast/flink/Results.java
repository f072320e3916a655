/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.core.JsonProcessingException;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonDeserializer;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonSerializer;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.module.SimpleModule;

import java.io.IOException;
import java.util.Base64;
import java.util.HashSet;
import java.util.NoSuchElementException;
import java.util.Set;

/**
 * Which jobs, or applications, ended, and whether Flink finished cleaning up after them: from nothing to dirty to clean.
 * Flink's store classes are thin shells around this. They are asked when Flink starts, where a failure would end the job
 * for good, so that reads are waited for.
 *
 * <p>Unlike Flink's own file store these entries are never deleted ({@code job-result-store.delete-on-commit} has no
 * effect): a JobManager that is restarted after its job ended would run that job again, without state.
 *
 * @param <R> JobResult or ApplicationResult
 */
final class Results<R> {

    private static final String DIRTY = "dirty";
    private static final String CLEAN = "clean";

    private final DurableCalls calls;
    private final LeadershipEpoch epoch;
    private final String kindPath;
    private final Class<R> type;
    private final ObjectMapper mapper;

    /** @param kind {@code jobs} or {@code applications} */
    Results(
            String kind,
            Class<R> type,
            JsonSerializer<R> serializer,
            JsonDeserializer<R> deserializer,
            DurableCalls calls,
            LeadershipEpoch epoch) {
        this.calls = calls;
        this.epoch = epoch;
        this.kindPath = "/v1/results/" + kind;
        this.type = type;
        this.mapper =
                new ObjectMapper()
                        .registerModule(
                                new SimpleModule().addSerializer(type, serializer).addDeserializer(type, deserializer));
    }

    /** The result as Flink's REST API writes it: readable, and not bound to a version's classes. */
    JsonNode toJson(R result) throws IOException {
        return mapper.readTree(mapper.writeValueAsBytes(result));
    }

    /** @throws IllegalStateException there is an entry already */
    void createDirty(String id, String status, JsonNode result) throws IOException {
        String payload = Base64.getEncoder().encodeToString(Json.bytes(result));
        SidecarCall call =
                SidecarCall.write("PUT", kindPath + "/" + id, epoch.newest())
                        .json(Json.object().put("status", status).put("payload", payload));
        if (write(call, Problem.ALREADY_EXISTS).problem != null) {
            throw new IllegalStateException("there is a result of " + id + " already");
        }
    }

    /** @throws NoSuchElementException there is no entry */
    void markClean(String id) throws IOException {
        SidecarCall call = SidecarCall.write("POST", kindPath + "/" + id + "/clean", epoch.newest());
        if (write(call, Problem.UNKNOWN_RESULT).problem != null) {
            throw new NoSuchElementException("there is no result of " + id);
        }
    }

    boolean isDirty(String id) throws IOException {
        return DIRTY.equals(stateOf(id));
    }

    boolean isClean(String id) throws IOException {
        return CLEAN.equals(stateOf(id));
    }

    private String stateOf(String id) throws IOException {
        SidecarAnswer answer = read(kindPath + "/" + id);
        return answer.problem == null ? Json.text(answer.json(), "state") : "none";
    }

    /** Null when there is no clean entry. */
    R clean(String id) throws IOException {
        SidecarAnswer answer = read(kindPath + "/" + id);
        if (answer.problem != null) {
            return null;
        }
        JsonNode entry = answer.json();
        return CLEAN.equals(Json.text(entry, "state")) ? parse(entry) : null;
    }

    Set<R> allDirty() throws IOException {
        Set<R> results = new HashSet<>();
        for (JsonNode entry : Json.required(read(kindPath + "?state=" + DIRTY).json(), "results")) {
            results.add(parse(entry));
        }
        return results;
    }

    private R parse(JsonNode entry) throws IOException {
        String id = Json.text(entry, "id");
        try {
            return mapper.readValue(Base64.getDecoder().decode(Json.text(entry, "payload")), type);
        } catch (IllegalArgumentException | JsonProcessingException e) {
            throw new IOException("the result of " + id + " cannot be read", e);
        }
    }

    private SidecarAnswer read(String path) throws IOException {
        try {
            return calls.needed(SidecarCall.read(path, epoch.newest()), Problem.UNKNOWN_RESULT);
        } catch (SidecarException e) {
            throw new IOException(e);
        }
    }

    private SidecarAnswer write(SidecarCall call, String... answers) throws IOException {
        try {
            return calls.write(call, answers);
        } catch (SidecarException e) {
            throw new IOException(e);
        }
    }
}
