/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.runtime.checkpoint.CheckpointIDCounter;
import org.apache.flink.runtime.checkpoint.CheckpointRecoveryFactory;
import org.apache.flink.runtime.checkpoint.CompletedCheckpoint;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStore;
import org.apache.flink.runtime.checkpoint.DefaultCompletedCheckpointStoreUtils;
import org.apache.flink.runtime.state.SharedStateRegistry;

import java.util.Collection;
import java.util.concurrent.Executor;
import java.util.function.Function;
import java.util.function.LongSupplier;

/** What a starting JobMaster recovers from. The parts per Flink version differ only in the type of the claim mode. */
abstract class BaseCheckpointRecoveryFactory implements CheckpointRecoveryFactory {

    private final BaseHaServices services;

    BaseCheckpointRecoveryFactory(BaseHaServices services) {
        this.services = services;
    }

    /** Reads every live checkpoint with its {@code _metadata}; one that cannot be read fails the recovery. */
    final CompletedCheckpointStore recover(
            JobID jobId,
            int maxNumberOfRetainedCheckpoints,
            Executor ioExecutor,
            Function<Collection<CompletedCheckpoint>, SharedStateRegistry> registryOf)
            throws Exception {
        // Before the first read, so that everything is done under one leadership.
        LongSupplier epoch = services.epoch.captured();
        CheckpointMetadataReader reader =
                new CheckpointMetadataReader(jobId, services.config.recoveryDeadlineMs, services.exit);
        PointerStore pointers = new PointerStore(jobId, services.calls, reader, epoch);
        Collection<CompletedCheckpoint> recovered =
                DefaultCompletedCheckpointStoreUtils.retrieveCompletedCheckpoints(pointers, CheckpointNames.INSTANCE);
        if (recovered.isEmpty()) {
            awaitPlanned(jobId, reader, epoch);
        }
        return new HoldfastCompletedCheckpointStore(
                maxNumberOfRetainedCheckpoints, pointers, recovered, registryOf.apply(recovered), ioExecutor);
    }

    /**
     * Without live checkpoints Flink is going to restore from the planned snapshot, and does not try twice: a storage that
     * does not answer just then would end the job for good.
     */
    private void awaitPlanned(JobID jobId, CheckpointMetadataReader reader, LongSupplier epoch) throws Exception {
        RestorePlan plan = services.calls.planOfRecovery(jobId.toString(), epoch.getAsLong());
        if (plan != null && plan.restore == RestorePlan.Restore.SNAPSHOT) {
            reader.awaitReadable(plan.externalPointer);
        }
    }

    @Override
    public final CheckpointIDCounter createCheckpointIDCounter(JobID jobId) {
        return new HoldfastCheckpointIDCounter(jobId, services.calls, services.epoch.captured());
    }
}
