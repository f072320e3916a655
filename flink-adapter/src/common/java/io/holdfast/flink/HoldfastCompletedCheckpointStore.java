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
import org.apache.flink.util.FlinkRuntimeException;

import java.util.Collection;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.stream.Collectors;

/**
 * Flink's own store, which tells the sidecar what is restored, and of the end of the job before it removes anything.
 *
 * <p>It keeps the files of a job that ended FAILED or CANCELED, whatever the retention policy: they are what the next
 * generation continues from. With Flink's default policy they would be deleted. What is not needed any more is collected
 * by the sidecar's rules.
 */
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

    /**
     * The checkpoint that the tasks are about to be restored from; null (for the sidecar: 0) when there is none. The sidecar knows it before
     * this returns: a savepoint that is newer than it has been rolled back behind, and must not be restored later.
     *
     * <p>Flink asks for it only to restore. Callers in the bytecode of 1.20.5, 2.2.1 and 2.3.0: {@code
     * CheckpointCoordinator.restoreLatestCheckpointedStateInternal}, which every restore goes through (from the live
     * checkpoints, from a savepoint, of the whole job or of a region); and from 2.x on {@code
     * AdaptiveScheduler.getJobAllocationsInformationFromGraphAndState}, while it assigns slots to a job of which no task
     * runs and which is restored next. Saying the same again changes nothing.
     */
    @Override
    public CompletedCheckpoint getLatestCheckpoint() {
        List<CompletedCheckpoint> live = getAllCheckpoints();
        CompletedCheckpoint latest = live.isEmpty() ? null : live.get(live.size() - 1);
        // Checkpoint ids begin with 1. A job that starts over without one leaves its savepoints behind as well.
        long id = latest == null ? 0 : latest.getCheckpointID();
        try {
            pointers.restored(id);
        } catch (SidecarException e) {
            throw new FlinkRuntimeException(
                    "checkpoint " + id + " is not restored, the sidecar must know of it first", e);
        }
        return latest;
    }

    /**
     * FAILED and CANCELED: the pointers stay live here, as what the sidecar was told they become; Flink's clean-up of the
     * job ({@code globalCleanupAsync}), or the next generation, then moves all of them to the history. FINISHED: as Flink
     * does it.
     */
    @Override
    public void shutdown(JobStatus status, CheckpointsCleaner cleaner) throws Exception {
        if (!status.isGloballyTerminalState()) {
            super.shutdown(status, cleaner);
            return;
        }
        try {
            pointers.end(status, discardedAt(status));
        } catch (SidecarException e) {
            // Not recorded, or another leader runs this job: then its files are not ours to delete.
            super.shutdown(JobStatus.SUSPENDED, cleaner);
            throw e;
        }
        super.shutdown(status == JobStatus.FINISHED ? status : JobStatus.SUSPENDED, cleaner);
    }

    /** The ids of those whose files Flink is going to delete. */
    private List<Long> discardedAt(JobStatus status) {
        return getAllCheckpoints().stream()
                .filter(checkpoint -> status == JobStatus.FINISHED && checkpoint.shouldBeDiscardedOnShutdown(status))
                .map(CompletedCheckpoint::getCheckpointID)
                .collect(Collectors.toList());
    }
}
