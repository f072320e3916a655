/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.runtime.checkpoint.CheckpointProperties;
import org.apache.flink.runtime.checkpoint.CheckpointRetentionPolicy;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.CompletedCheckpoint;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.checkpoint.OperatorSubtaskState;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.state.CompletedCheckpointStorageLocation;
import org.apache.flink.runtime.state.OperatorStateHandle;
import org.apache.flink.runtime.state.OperatorStreamStateHandle;
import org.apache.flink.runtime.state.filesystem.AbstractFsCheckpointStorageAccess;
import org.apache.flink.runtime.state.memory.ByteStreamStateHandle;

import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Completed checkpoints with a real {@code _metadata}, written by Flink itself. */
final class TestCheckpoints {

    static final CheckpointProperties RETAINED =
            CheckpointProperties.forCheckpoint(CheckpointRetentionPolicy.RETAIN_ON_CANCELLATION);
    static final CheckpointProperties NEVER_RETAINED =
            CheckpointProperties.forCheckpoint(CheckpointRetentionPolicy.NEVER_RETAIN_AFTER_TERMINATION);
    static final OperatorID OPERATOR = new OperatorID(1, 2);
    static final String STATE = "the state of subtask 0";

    private final Path directory;

    TestCheckpoints(Path directory) {
        this.directory = directory.resolve("checkpoints");
    }

    CompletedCheckpoint retained(JobID jobId, long id) throws Exception {
        return write(jobId, id, RETAINED, null);
    }

    CompletedCheckpoint write(
            JobID jobId, long id, CheckpointProperties properties, CheckpointProperties restoredProperties)
            throws Exception {
        OperatorState operator = Generation.operatorState(OPERATOR, 1);
        operator.putState(0, subtaskState());
        Path chk = metadata(jobId, id).getParent();
        Files.createDirectories(chk);
        try (OutputStream out = Files.newOutputStream(metadata(jobId, id))) {
            // What is in the file is what the checkpoint was made with, and not what it was restored with.
            Checkpoints.storeCheckpointMetadata(
                    new CheckpointMetadata(id, List.of(operator), List.of(), RETAINED), out);
        }
        CompletedCheckpointStorageLocation location =
                AbstractFsCheckpointStorageAccess.resolveCheckpointPointer(chk.toUri().toString());
        return new CompletedCheckpoint(
                jobId,
                id,
                1000 + id,
                2000 + id,
                Map.of(OPERATOR, operator),
                List.of(),
                properties,
                location,
                null,
                restoredProperties);
    }

    private static OperatorSubtaskState subtaskState() {
        OperatorStateHandle.StateMetaInfo all =
                new OperatorStateHandle.StateMetaInfo(new long[] {0}, OperatorStateHandle.Mode.SPLIT_DISTRIBUTE);
        return OperatorSubtaskState.builder()
                .setManagedOperatorState(
                        new OperatorStreamStateHandle(
                                Map.of("name", all),
                                new ByteStreamStateHandle("handle", STATE.getBytes(StandardCharsets.UTF_8))))
                .build();
    }

    Path metadata(JobID jobId, long id) {
        return directory.resolve(jobId.toString()).resolve("chk-" + id).resolve("_metadata");
    }
}
