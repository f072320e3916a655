/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.RecoveryClaimMode;
import org.apache.flink.runtime.checkpoint.CheckpointRecoveryFactory;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStore;
import org.apache.flink.runtime.jobgraph.SavepointRestoreSettings;
import org.apache.flink.runtime.jobmanager.DefaultExecutionPlanStore;
import org.apache.flink.runtime.jobmanager.ExecutionPlanStore;
import org.apache.flink.runtime.jobmanager.ExecutionPlanStoreUtil;
import org.apache.flink.runtime.jobmanager.NoOpExecutionPlanStoreWatcher;
import org.apache.flink.runtime.state.SharedStateRegistryFactory;
import org.apache.flink.streaming.api.graph.ExecutionPlan;

import java.util.concurrent.Executor;

/** What is the same in all of Flink 2: stores an ExecutionPlan, and claims a snapshot with a RecoveryClaimMode. */
abstract class ExecutionPlanHaServices extends BaseHaServices {

    ExecutionPlanHaServices(Configuration configuration, Executor ioExecutor) {
        super(configuration, ioExecutor);
    }

    @Override
    public CheckpointRecoveryFactory getCheckpointRecoveryFactory() {
        return new BaseCheckpointRecoveryFactory(this) {
            @Override
            public CompletedCheckpointStore createRecoveredCompletedCheckpointStore(
                    JobID jobId,
                    int maxNumberOfRetainedCheckpoints,
                    SharedStateRegistryFactory registryFactory,
                    Executor ioExecutor,
                    RecoveryClaimMode claimMode)
                    throws Exception {
                return recover(
                        jobId,
                        maxNumberOfRetainedCheckpoints,
                        ioExecutor,
                        checkpoints -> registryFactory.create(ioExecutor, checkpoints, claimMode));
            }
        };
    }

    /** No watcher: only the leader writes here, so that nothing changes behind Flink's back. */
    @Override
    public ExecutionPlanStore getExecutionPlanStore() {
        return new DefaultExecutionPlanStore<>(
                graphStore(ExecutionPlans.INSTANCE),
                NoOpExecutionPlanStoreWatcher.INSTANCE,
                GraphNames.INSTANCE);
    }

    /** A StreamGraph, or a JobGraph where a client made one. */
    private enum ExecutionPlans implements GraphKind<ExecutionPlan> {
        INSTANCE;

        @Override
        public String nameOf(ExecutionPlan graph) {
            return graph.getName();
        }

        @Override
        public SavepointRestoreSettings settingsOf(ExecutionPlan graph) {
            return graph.getSavepointRestoreSettings();
        }

        @Override
        public void restoreWith(ExecutionPlan graph, SavepointRestoreSettings settings) {
            graph.setSavepointRestoreSettings(settings);
        }

        @Override
        public SavepointRestoreSettings forPath(
                String externalPointer, boolean allowNonRestoredState, String claimMode) {
            return SavepointRestoreSettings.forPath(
                    externalPointer, allowNonRestoredState, RecoveryClaimMode.valueOf(claimMode));
        }
    }

    private enum GraphNames implements ExecutionPlanStoreUtil {
        INSTANCE;

        @Override
        public String jobIDToName(JobID jobId) {
            return jobId.toString();
        }

        @Override
        public JobID nameToJobID(String name) {
            return JobID.fromHexString(name);
        }
    }
}
