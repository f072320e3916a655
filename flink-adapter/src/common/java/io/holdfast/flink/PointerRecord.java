/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.runtime.checkpoint.CheckpointProperties;
import org.apache.flink.runtime.checkpoint.CompletedCheckpoint;
import org.apache.flink.runtime.state.memory.NonPersistentMetadataCheckpointStorageLocation;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.flink.util.FlinkException;
import org.apache.flink.util.InstantiationUtil;

import java.io.IOException;
import java.util.Base64;

/**
 * What is stored of a checkpoint: about 1 kB from which it is rebuilt together with its own {@code _metadata}, instead of
 * a serialized CompletedCheckpoint, which inlines small state and is bound to one Flink version.
 *
 * <p>The properties must be kept: a savepoint that was restored with claim mode NO_CLAIM stands in the store with others
 * than its {@code _metadata} has, and with those Flink would delete the user's savepoint when it is subsumed.
 */
final class PointerRecord {

    final String externalPointer;
    final long triggerTimestampMs;
    final long completionTimestampMs;
    final CheckpointProperties properties;
    /** Null unless the checkpoint was itself restored. */
    final CheckpointProperties restoredProperties;

    private PointerRecord(
            String externalPointer,
            long triggerTimestampMs,
            long completionTimestampMs,
            CheckpointProperties properties,
            CheckpointProperties restoredProperties) {
        this.externalPointer = externalPointer;
        this.triggerTimestampMs = triggerTimestampMs;
        this.completionTimestampMs = completionTimestampMs;
        this.properties = properties;
        this.restoredProperties = restoredProperties;
    }

    static PointerRecord of(CompletedCheckpoint checkpoint) throws FlinkException {
        String pointer = checkpoint.getExternalPointer();
        if (pointer == null || pointer.equals(NonPersistentMetadataCheckpointStorageLocation.EXTERNAL_POINTER)) {
            throw new FlinkException(
                    "checkpoint "
                            + checkpoint.getCheckpointID()
                            + " lies in the JobManager's memory and cannot be restored by another one;"
                            + " set 'execution.checkpointing.dir' ('state.checkpoints.dir' in Flink 1.20)");
        }
        return new PointerRecord(
                pointer,
                checkpoint.getTimestamp(),
                checkpoint.getCompletionTimestamp(),
                checkpoint.getProperties(),
                checkpoint.getRestoredProperties().orElse(null));
    }

    ObjectNode toJson() throws IOException {
        ObjectNode json =
                Json.object()
                        .put("external_pointer", externalPointer)
                        .put("kind", properties.isSavepoint() ? "savepoint" : "checkpoint")
                        .put("trigger_timestamp_ms", triggerTimestampMs)
                        .put("completion_timestamp_ms", completionTimestampMs)
                        .put("properties", encode(properties));
        if (restoredProperties == null) {
            return json.putNull("restored_properties");
        }
        return json.put("restored_properties", encode(restoredProperties));
    }

    static PointerRecord parse(JsonNode json) throws IOException {
        JsonNode restored = json.path("restored_properties");
        return new PointerRecord(
                Json.text(json, "external_pointer"),
                Json.number(json, "trigger_timestamp_ms"),
                Json.number(json, "completion_timestamp_ms"),
                decode(Json.text(json, "properties")),
                restored.isTextual() ? decode(restored.asText()) : null);
    }

    private static String encode(CheckpointProperties properties) throws IOException {
        return Base64.getEncoder().encodeToString(InstantiationUtil.serializeObject(properties));
    }

    private static CheckpointProperties decode(String base64) throws IOException {
        try {
            byte[] bytes = Base64.getDecoder().decode(base64);
            return InstantiationUtil.deserializeObject(bytes, CheckpointProperties.class.getClassLoader());
        } catch (IllegalArgumentException | ClassNotFoundException | ClassCastException e) {
            throw new IOException("the stored checkpoint properties cannot be read", e);
        }
    }
}
