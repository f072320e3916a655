/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.core.execution.RecoveryClaimMode;
import org.apache.flink.runtime.checkpoint.CheckpointRecoveryFactory;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStore;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.clusterframework.ApplicationStatus;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.jobmaster.JobResult;
import org.apache.flink.runtime.state.SharedStateRegistryFactory;
import org.apache.flink.runtime.state.SharedStateRegistryImpl;
import org.apache.flink.util.SerializedThrowable;

/** What a test has to write differently for Flink 2.0 to 2.2. */
final class Generation {

    static final String HA_SERVICES = "io.holdfast.flink.HaServices2";

    private Generation() {}

    static JobResult jobResult(JobID jobId, JobStatus status, SerializedThrowable reason) {
        return new JobResult.Builder()
                .jobId(jobId)
                .applicationStatus(ApplicationStatus.fromJobStatus(status))
                .netRuntime(1)
                .serializedThrowable(reason)
                .build();
    }

    static OperatorState operatorState(OperatorID id, int parallelism) {
        return new OperatorState("operator", "uid", id, parallelism, 128);
    }

    static CompletedCheckpointStore recover(CheckpointRecoveryFactory factory, JobID jobId, int retained)
            throws Exception {
        SharedStateRegistryFactory registries = (executor, checkpoints, mode) -> new SharedStateRegistryImpl();
        return factory.createRecoveredCompletedCheckpointStore(
                jobId, retained, registries, Runnable::run, RecoveryClaimMode.NO_CLAIM);
    }
}
