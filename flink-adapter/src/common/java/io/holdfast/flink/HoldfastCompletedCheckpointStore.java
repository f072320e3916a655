/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.JobStatus;
import org.apache.flink.runtime.checkpoint.CheckpointsCleaner;
import org.apache.flink.runtime.checkpoint.CompletedCheckpoint;
import org.apache.flink.runtime.checkpoint.DefaultCompletedCheckpointStore;
import org.apache.flink.runtime.persistence.StringResourceVersion;
import org.apache.flink.runtime.state.SharedStateRegistry;

import java.util.Collection;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.stream.Collectors;

/** Flink's own store, which tells the sidecar about the end of the job before it removes anything. */
final class HoldfastCompletedCheckpointStore extends DefaultCompletedCheckpointStore<StringResourceVersion> {

    private final PointerStore pointers;

    HoldfastCompletedCheckpointStore(
            int maxNumberOfRetainedCheckpoints,
            PointerStore pointers,
            Collection<CompletedCheckpoint> recovered,
            SharedStateRegistry sharedStateRegistry,
            Executor ioExecutor) {
        super(
                maxNumberOfRetainedCheckpoints,
                pointers,
                CheckpointNames.INSTANCE,
                recovered,
                sharedStateRegistry,
                ioExecutor);
        this.pointers = pointers;
    }

    @Override
    public void shutdown(JobStatus status, CheckpointsCleaner cleaner) throws Exception {
        if (status.isGloballyTerminalState()) {
            List<Long> discarded =
                    getAllCheckpoints().stream()
                            .filter(checkpoint -> checkpoint.shouldBeDiscardedOnShutdown(status))
                            .map(CompletedCheckpoint::getCheckpointID)
                            .collect(Collectors.toList());
            try {
                pointers.end(status, discarded);
            } catch (SidecarException e) {
                // Not recorded, or another leader runs this job: then its files are not ours to delete.
                super.shutdown(JobStatus.SUSPENDED, cleaner);
                throw e;
            }
        }
        super.shutdown(status, cleaner);
    }
}
