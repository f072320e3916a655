/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.api.common.JobID;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStore;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.jobgraph.SavepointRestoreSettings;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamGraph;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.FileNotFoundException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** How the sidecar's plan reaches Flink: in the very graph that is submitted. With the real graphs of this Flink. */
class RestorePlanTest {

    private static final String SAVEPOINT = "s3://bucket/savepoints/savepoint-7";

    private Sidecar sidecar;
    private Leader leader;
    private FaultProxy proxy;
    private BaseHaServices services;
    private final JobID jobId = new JobID();
    private final JobGraph graph = new JobGraph(jobId, "orders");

    @BeforeEach
    void start() throws Exception {
        sidecar = Sidecar.started();
        leader = Leader.granted(sidecar);
        proxy = new FaultProxy(sidecar);
        services =
                (BaseHaServices)
                        new HoldfastHaServicesFactory()
                                .createHAServices(Sidecar.configuration(proxy.url()), Runnable::run);
        services.epoch.granted(leader.epoch.newest());
    }

    @AfterEach
    void stop() throws Exception {
        services.close();
        proxy.close();
        leader.close();
        sidecar.close();
    }

    private String question() {
        return "GET /v1/jobs/" + jobId + "/plan";
    }

    private void planned(String restore, String pointer, String claimMode, boolean allow) {
        String snapshot =
                pointer == null
                        ? "null"
                        : "{\"id\":7,\"kind\":\"savepoint\",\"external_pointer\":\"" + pointer + "\"}";
        proxy.answer(
                question(),
                String.format(
                        "{\"generation\":\"g2\",\"restore\":\"%s\",\"snapshot\":%s,\"claim_mode\":\"%s\","
                                + "\"allow_non_restored_state\":%s,\"why\":\"the newest of 3\"}",
                        restore, snapshot, claimMode, allow));
    }

    private static void requireRestoredFrom(SavepointRestoreSettings settings, String path, boolean allow) {
        assertTrue(settings.restoreSavepoint());
        assertEquals(path, settings.getRestorePath());
        assertEquals(allow, settings.allowNonRestoredState());
    }

    @Test
    void aPlannedSnapshotReplacesWhatWasConfiguredInTheSubmittedGraphAndInTheStoredOne() throws Exception {
        planned("snapshot", SAVEPOINT, "CLAIM", false);
        graph.setSavepointRestoreSettings(SavepointRestoreSettings.forPath("s3://bucket/stale", false));
        Generation.put(services, graph);
        requireRestoredFrom(graph.getSavepointRestoreSettings(), SAVEPOINT, false);
        assertEquals("CLAIM", Generation.claimMode(graph));
        requireRestoredFrom(
                Generation.recoverGraphs(services).get(0).getSavepointRestoreSettings(), SAVEPOINT, false);
    }

    @Test
    void theClaimModeIsThePlans() throws Exception {
        planned("snapshot", SAVEPOINT, "NO_CLAIM", false);
        Generation.put(services, graph);
        assertEquals("NO_CLAIM", Generation.claimMode(graph));
    }

    @Test
    void stateWithoutAnOperatorIsAllowedWhenThePlanOrTheJobAllowsIt() throws Exception {
        planned("snapshot", SAVEPOINT, "NO_CLAIM", true);
        Generation.put(services, graph);
        requireRestoredFrom(graph.getSavepointRestoreSettings(), SAVEPOINT, true);

        services.globalCleanupAsync(jobId, Runnable::run).get();
        planned("snapshot", SAVEPOINT, "NO_CLAIM", false);
        graph.setSavepointRestoreSettings(SavepointRestoreSettings.forPath("s3://bucket/stale", true));
        Generation.put(services, graph);
        requireRestoredFrom(graph.getSavepointRestoreSettings(), SAVEPOINT, true);
    }

    @Test
    void anEmptyStartClearsAConfiguredPath() throws Exception {
        planned("empty", null, "NO_CLAIM", false);
        graph.setSavepointRestoreSettings(SavepointRestoreSettings.forPath("s3://bucket/stale", false));
        Generation.put(services, graph);
        assertFalse(graph.getSavepointRestoreSettings().restoreSavepoint());
    }

    @Test
    void aJobThatNothingIsPlannedForKeepsItsOwnSettings() throws Exception {
        planned("given", null, "NO_CLAIM", false);
        graph.setSavepointRestoreSettings(SavepointRestoreSettings.forPath("s3://bucket/mine", true));
        Generation.put(services, graph);
        requireRestoredFrom(graph.getSavepointRestoreSettings(), "s3://bucket/mine", true);
    }

    @Test
    void thePlanIsAskedForUntilItIsAnswered() throws Exception {
        planned("snapshot", SAVEPOINT, "CLAIM", false);
        proxy.onRequests(
                question(),
                request ->
                        request == 1
                                ? FaultProxy.Fault.UNAVAILABLE
                                : request == 2 ? FaultProxy.Fault.DROP_ANSWER : FaultProxy.Fault.NONE);
        Generation.put(services, graph);
        requireRestoredFrom(graph.getSavepointRestoreSettings(), SAVEPOINT, false);
    }

    /** Without it the job could start empty; told so by an exception, Flink would clean up the job's recovery data. */
    @Test
    void withoutAnAnswerOrWithOneThatIsNotUnderstoodTheProcessEndsAndNothingIsStored() throws Exception {
        GraphStore<String> store = TestGraphs.store(leader.impatientCallsThrough(proxy.url()), leader.epoch.captured());
        proxy.onRequests(question(), request -> FaultProxy.Fault.UNAVAILABLE);
        assertThrows(Leader.ProcessEnded.class, () -> store.addAndLock(jobId.toString(), "graph"));
        proxy.onRequests(question(), request -> FaultProxy.Fault.NONE);
        planned("something-newer", null, "NO_CLAIM", false);
        assertThrows(Leader.ProcessEnded.class, () -> store.addAndLock(jobId.toString(), "graph"));
        planned("snapshot", SAVEPOINT, "LEGACY", false);
        assertThrows(Leader.ProcessEnded.class, () -> store.addAndLock(jobId.toString(), "graph"));
        assertFalse(store.exists(jobId.toString()).isExisting());
    }

    /** The JobMaster of 2.x makes the JobGraph after the plan was set; until 1.20 it is set in the JobGraph itself. */
    @Test
    void whatIsSetInAStreamGraphIsInTheJobGraphThatIsMadeOfIt() {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.fromSequence(0, 1).print();
        StreamGraph made = env.getStreamGraph();
        made.setSavepointRestoreSettings(SavepointRestoreSettings.forPath(SAVEPOINT, true));
        requireRestoredFrom(made.getJobGraph().getSavepointRestoreSettings(), SAVEPOINT, true);
    }

    /** Flink reads it once more, at once; when that fails the job is FAILED for good. */
    @Test
    void aStartWithoutLiveCheckpointsWaitsUntilThePlannedSnapshotCanBeRead() throws Exception {
        TestCheckpoints checkpoints = new TestCheckpoints(sidecar.directory);
        planned("snapshot", checkpoints.retained(jobId, 7).getExternalPointer(), "NO_CLAIM", false);
        Path file = checkpoints.metadata(jobId, 7);
        byte[] whole = Files.readAllBytes(file);
        Files.delete(file);
        // Can be opened, and reading it is an I/O error (address 0 is not mapped).
        Files.createSymbolicLink(file, Path.of("/proc/self/mem"));
        ExecutorService executor = Executors.newSingleThreadExecutor();
        try {
            Future<CompletedCheckpointStore> started =
                    executor.submit(() -> Generation.recover(services.getCheckpointRecoveryFactory(), jobId, 2));
            Await.until("the plan was asked for", () -> !asked().isEmpty());
            assertFalse(started.isDone());
            Files.delete(file);
            Files.write(file, whole);
            assertEquals(0, started.get().getNumberOfRetainedCheckpoints());
        } finally {
            executor.shutdownNow();
        }
        Files.delete(file);
        assertThrows(
                FileNotFoundException.class,
                () -> Generation.recover(services.getCheckpointRecoveryFactory(), jobId, 2),
                "what is missing is not waited for");
    }

    @Test
    void aStartWithLiveCheckpointsNeedsNoPlan() throws Exception {
        TestCheckpoints checkpoints = new TestCheckpoints(sidecar.directory);
        new PointerStore(jobId, leader.calls, null, leader.epoch.captured())
                .addAndLock(CheckpointNames.INSTANCE.checkpointIDToName(8), checkpoints.retained(jobId, 8));
        proxy.seen.clear();
        assertEquals(
                1,
                Generation.recover(services.getCheckpointRecoveryFactory(), jobId, 2).getNumberOfRetainedCheckpoints());
        assertEquals(Set.of(), asked());
    }

    private Set<String> asked() {
        Set<String> plans = new HashSet<>(proxy.seen);
        plans.removeIf(line -> !line.startsWith(question()));
        return plans;
    }
}
