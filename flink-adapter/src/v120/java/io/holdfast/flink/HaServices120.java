/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.RestoreMode;
import org.apache.flink.runtime.checkpoint.CheckpointRecoveryFactory;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStore;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.jobgraph.SavepointRestoreSettings;
import org.apache.flink.runtime.jobmanager.DefaultJobGraphStore;
import org.apache.flink.runtime.jobmanager.JobGraphStore;
import org.apache.flink.runtime.jobmanager.JobGraphStoreUtil;
import org.apache.flink.runtime.jobmanager.NoOpJobGraphStoreWatcher;
import org.apache.flink.runtime.state.SharedStateRegistryFactory;

import java.util.concurrent.Executor;

/** Flink 1.20: stores a JobGraph, and claims a snapshot with a RestoreMode. */
final class HaServices120 extends BaseHaServices {

    HaServices120(Configuration configuration, Executor ioExecutor) {
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
                    RestoreMode restoreMode)
                    throws Exception {
                return recover(
                        jobId,
                        maxNumberOfRetainedCheckpoints,
                        ioExecutor,
                        checkpoints -> registryFactory.create(ioExecutor, checkpoints, restoreMode));
            }
        };
    }

    /** No watcher: only the leader writes here, so that nothing changes behind Flink's back. */
    @Override
    public JobGraphStore getJobGraphStore() {
        return new DefaultJobGraphStore<>(
                graphStore(JobGraphs.INSTANCE), NoOpJobGraphStoreWatcher.INSTANCE, GraphNames.INSTANCE);
    }

    private enum JobGraphs implements GraphKind<JobGraph> {
        INSTANCE;

        @Override
        public String nameOf(JobGraph graph) {
            return graph.getName();
        }

        @Override
        public SavepointRestoreSettings settingsOf(JobGraph graph) {
            return graph.getSavepointRestoreSettings();
        }

        @Override
        public void restoreWith(JobGraph graph, SavepointRestoreSettings settings) {
            graph.setSavepointRestoreSettings(settings);
        }

        @Override
        public SavepointRestoreSettings forPath(
                String externalPointer, boolean allowNonRestoredState, String claimMode) {
            return SavepointRestoreSettings.forPath(
                    externalPointer, allowNonRestoredState, RestoreMode.valueOf(claimMode));
        }
    }

    private enum GraphNames implements JobGraphStoreUtil {
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
