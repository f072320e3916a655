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
import org.apache.flink.runtime.jobmanager.ExecutionPlanStore;
import org.apache.flink.runtime.jobmaster.JobResult;
import org.apache.flink.runtime.state.SharedStateRegistryFactory;
import org.apache.flink.runtime.state.SharedStateRegistryImpl;
import org.apache.flink.streaming.api.graph.ExecutionPlan;
import org.apache.flink.util.SerializedThrowable;

import java.util.ArrayList;
import java.util.List;

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

    /** Stores it as the Dispatcher does before it runs this very object. */
    static void put(BaseHaServices services, ExecutionPlan graph) throws Exception {
        ExecutionPlanStore store = ((ExecutionPlanHaServices) services).getExecutionPlanStore();
        store.start(new Listener());
        store.putExecutionPlan(graph);
        store.stop();
    }

    /** What the Dispatcher recovers, as SessionDispatcherLeaderProcess does it: the listed jobs, without those that are null. */
    static List<ExecutionPlan> recoverGraphs(BaseHaServices services) throws Exception {
        ExecutionPlanStore store = ((ExecutionPlanHaServices) services).getExecutionPlanStore();
        store.start(new Listener());
        List<ExecutionPlan> graphs = new ArrayList<>();
        for (JobID id : store.getJobIds()) {
            ExecutionPlan graph = store.recoverExecutionPlan(id);
            if (graph != null) {
                graphs.add(graph);
            }
        }
        store.stop();
        return graphs;
    }

    static String claimMode(ExecutionPlan graph) {
        return graph.getSavepointRestoreSettings().getRecoveryClaimMode().name();
    }

    private static final class Listener implements ExecutionPlanStore.ExecutionPlanListener {
        @Override
        public void onAddedExecutionPlan(JobID jobId) {}

        @Override
        public void onRemovedExecutionPlan(JobID jobId) {}
    }
}
