/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.runtime.checkpoint.CheckpointsCleaner;
import org.apache.flink.runtime.checkpoint.CompletedCheckpoint;
import org.apache.flink.runtime.checkpoint.CompletedCheckpointStore;
import org.apache.flink.runtime.state.SharedStateRegistryImpl;
import org.apache.flink.util.ExceptionUtils;
import org.apache.flink.util.FlinkRuntimeException;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.nio.file.Files;
import java.util.List;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;

/** Flink's DefaultCompletedCheckpointStore on top of the sidecar: subsuming, and the two ways to end. */
class CompletedCheckpointStoreTest {

    private Sidecar sidecar;
    private Leader leader;
    private FaultProxy proxy;
    private TestCheckpoints checkpoints;
    private final CheckpointsCleaner cleaner = new CheckpointsCleaner();
    private final JobID jobId = new JobID();

    @BeforeEach
    void start() throws Exception {
        sidecar = Sidecar.started();
        leader = Leader.granted(sidecar);
        proxy = new FaultProxy(sidecar);
        checkpoints = new TestCheckpoints(sidecar.directory);
    }

    @AfterEach
    void stop() throws Exception {
        proxy.close();
        leader.close();
        sidecar.close();
    }

    private PointerStore pointers(DurableCalls calls, LongSupplier epoch) {
        return new PointerStore(
                jobId, calls, new CheckpointMetadataReader(jobId, Sidecar.ANSWER_MS, Leader.EXIT), epoch);
    }

    private HoldfastCompletedCheckpointStore store(LongSupplier epoch) {
        return store(leader.callsThrough(proxy.url()), epoch);
    }

    private HoldfastCompletedCheckpointStore store(DurableCalls calls, LongSupplier epoch) {
        return new HoldfastCompletedCheckpointStore(
                2, pointers(calls, epoch), List.of(), new SharedStateRegistryImpl(), Runnable::run);
    }

    private void addThree(CompletedCheckpointStore store) throws Exception {
        for (long id = 1; id <= 3; id++) {
            store.addCheckpointAndSubsumeOldestOne(
                    checkpoints.write(
                            jobId, id, id == 3 ? TestCheckpoints.RETAINED : TestCheckpoints.NEVER_RETAINED, null),
                    cleaner,
                    () -> {});
        }
    }

    private List<Long> live() throws Exception {
        return pointers(leader.calls, leader.epoch.captured()).getAllHandles().stream()
                .map(CheckpointNames.INSTANCE::nameToCheckpointID)
                .collect(Collectors.toList());
    }

    // from CompletedCheckpointStoreTest#testAddCheckpointMoreThanMaxRetained
    @Test
    void retainsSoManyAndDeletesTheFilesOfTheOthers() throws Exception {
        HoldfastCompletedCheckpointStore store = store(leader.epoch.captured());
        addThree(store);
        assertEquals(2, store.getNumberOfRetainedCheckpoints());
        assertEquals(List.of(2L, 3L), live());
        Await.until("the files are deleted", () -> !Files.exists(checkpoints.metadata(jobId, 1)));
        assertTrue(Files.exists(checkpoints.metadata(jobId, 2)));
    }

    /** Before the first removal, with the ids whose files Flink is going to delete. */
    @Test
    void tellsTheSidecarOfTheEndBeforeItRemovesAnything() throws Exception {
        HoldfastCompletedCheckpointStore store = store(leader.epoch.captured());
        addThree(store);
        proxy.seen.clear();
        store.shutdown(JobStatus.FINISHED, cleaner);
        assertTrue(proxy.seen.get(0).startsWith("POST /v1/jobs/" + jobId + "/end"), proxy.seen.toString());
        assertTrue(proxy.seen.get(1).startsWith("DELETE "), proxy.seen.toString());
        assertEquals(List.of(), live());
        Await.until("2 is deleted", () -> !Files.exists(checkpoints.metadata(jobId, 2)));
        Await.until("3 is deleted", () -> !Files.exists(checkpoints.metadata(jobId, 3)));
    }

    /** Checkpoint 2 has Flink's default retention, which deletes its files here. */
    @ParameterizedTest
    @EnumSource(
            value = JobStatus.class,
            names = {"FAILED", "CANCELED"})
    void aJobThatFailedOrWasCanceledKeepsItsFilesWhateverTheRetention(JobStatus status) throws Exception {
        HoldfastCompletedCheckpointStore store = store(leader.epoch.captured());
        addThree(store);
        Await.until("1 was subsumed", () -> !Files.exists(checkpoints.metadata(jobId, 1)));
        proxy.seen.clear();
        proxy.bodies.clear();
        store.shutdown(status, cleaner);
        assertEquals(1, proxy.seen.size(), "nothing but the end is said: " + proxy.seen);
        assertTrue(proxy.seen.get(0).startsWith("POST /v1/jobs/" + jobId + "/end"), proxy.seen.toString());
        assertEquals("{\"status\":\"" + status + "\",\"discarded\":[]}", proxy.bodies.get(0));
        assertEquals(List.of(2L, 3L), live(), "they are live until the job is cleaned up");
        // Flink's next step; then nothing is to be restored by a job of this generation.
        leader.calls.shortWrite(
                SidecarCall.write("POST", "/v1/jobs/" + jobId + "/cleanup", leader.epoch.newest()));
        assertEquals(List.of(), live());
        for (long id = 2; id <= 3; id++) {
            assertTrue(Files.exists(checkpoints.metadata(jobId, id)), "checkpoint " + id);
        }
    }

    /** A clean-up that was interrupted is done again by the next process, out of what is stored. */
    @Test
    void theEndCanBeSaidAgainByTheNextProcess() throws Exception {
        addThree(store(leader.epoch.captured()));
        store(leader.epoch.captured()).shutdown(JobStatus.FAILED, cleaner);
        BaseHaServices services = services(sidecar.url());
        CompletedCheckpointStore recovered = Generation.recover(services.getCheckpointRecoveryFactory(), jobId, 2);
        recovered.shutdown(JobStatus.FAILED, cleaner);
        assertEquals(List.of(2L, 3L), live());
        assertTrue(Files.exists(checkpoints.metadata(jobId, 2)));
        services.close();
    }

    private static final String RESTORED = "{\"rolled_back\":0}";

    @Test
    void saysWhatIsRestoredBeforeItIsAndAgainAfterAFailure() throws Exception {
        proxy.answer("POST /v1/jobs/" + jobId + "/restored", RESTORED);
        HoldfastCompletedCheckpointStore store = store(leader.epoch.captured());
        addThree(store);
        proxy.bodies.clear();
        proxy.onRequests(
                "POST /v1/jobs/" + jobId + "/restored",
                request -> request == 1 ? FaultProxy.Fault.DROP_ANSWER : FaultProxy.Fault.NONE);
        assertEquals(3, store.getLatestCheckpoint().getCheckpointID());
        assertEquals(List.of("{\"id\":3}", "{\"id\":3}"), proxy.bodies);
    }

    @Test
    void aJobThatStartsOverWithoutACheckpointSaysSo() throws Exception {
        proxy.answer("POST /v1/jobs/" + jobId + "/restored", RESTORED);
        HoldfastCompletedCheckpointStore store = store(leader.epoch.captured());
        proxy.bodies.clear();
        assertEquals(0, store.getLatestCheckpointId());
        assertEquals(List.of(), proxy.bodies);
        assertNull(store.getLatestCheckpoint());
        assertEquals(List.of("{\"id\":0}"), proxy.bodies);
    }

    @Test
    void aRestoreThatTheSidecarCannotBeToldOfEndsTheProcess() throws Exception {
        HoldfastCompletedCheckpointStore store =
                store(leader.impatientCallsThrough(proxy.url()), leader.epoch.captured());
        addThree(store);
        proxy.onRequests("POST /v1/jobs/" + jobId + "/restored", request -> FaultProxy.Fault.UNAVAILABLE);
        Leader.ProcessEnded ended = assertThrows(Leader.ProcessEnded.class, store::getLatestCheckpoint);
        assertTrue(ended.getMessage().contains("/restored"), ended.getMessage());
    }

    @Test
    void aDeposedLeaderRestoresNothing() throws Exception {
        HoldfastCompletedCheckpointStore store = store(leader.epoch.captured());
        addThree(store);
        leader.close();
        leader = Leader.granted(sidecar);
        FlinkRuntimeException refused = assertThrows(FlinkRuntimeException.class, store::getLatestCheckpoint);
        SidecarException cause = ExceptionUtils.findThrowable(refused, SidecarException.class).orElseThrow();
        assertTrue(cause.is(Problem.FENCED), cause.toString());
    }

    // from DefaultCompletedCheckpointStoreTest#testShutdownShouldNotDiscardStateWhenJobStatusIsNotGloballyTerminalState
    @Test
    void keepsEverythingWhenItIsSuspended() throws Exception {
        HoldfastCompletedCheckpointStore store = store(leader.epoch.captured());
        addThree(store);
        store.shutdown(JobStatus.SUSPENDED, cleaner);
        assertEquals(List.of(2L, 3L), live());
        assertTrue(Files.exists(checkpoints.metadata(jobId, 2)));
    }

    /** Whoever deposed it restores from these files. */
    @Test
    void aDeposedLeaderDeletesNothingAtTheEnd() throws Exception {
        HoldfastCompletedCheckpointStore store = store(leader.epoch.captured());
        addThree(store);
        leader.close();
        leader = Leader.granted(sidecar);
        SidecarException refused =
                assertThrows(SidecarException.class, () -> store.shutdown(JobStatus.FAILED, cleaner));
        assertTrue(refused.is(Problem.FENCED), refused.toString());
        assertEquals(List.of(2L, 3L), live());
        assertTrue(Files.exists(checkpoints.metadata(jobId, 2)));
        assertTrue(Files.exists(checkpoints.metadata(jobId, 3)));
    }

    // from DefaultCompletedCheckpointStoreTest#testAddCheckpointFailedShouldNotRemoveOldOnes, and with files
    @Test
    void aDeposedLeaderDeletesNothingWhenItAdds() throws Exception {
        HoldfastCompletedCheckpointStore store = store(leader.epoch.captured());
        addThree(store);
        leader.close();
        leader = Leader.granted(sidecar);
        CompletedCheckpoint fourth = checkpoints.retained(jobId, 4);
        assertThrows(
                SidecarException.class,
                () -> store.addCheckpointAndSubsumeOldestOne(fourth, cleaner, () -> {}));
        assertEquals(List.of(2L, 3L), live());
        assertTrue(Files.exists(checkpoints.metadata(jobId, 2)));
    }

    private BaseHaServices services(String url) throws Exception {
        BaseHaServices services =
                (BaseHaServices)
                        new HoldfastHaServicesFactory().createHAServices(Sidecar.configuration(url), Runnable::run);
        services.epoch.granted(leader.epoch.newest());
        return services;
    }

    /** The way that a JobMaster takes, with the recovery factory of this Flink. */
    @Test
    void isRecoveredByTheFactory() throws Exception {
        addThree(store(leader.epoch.captured()));
        proxy.answer("POST /v1/jobs/" + jobId + "/restored", RESTORED);
        BaseHaServices services = services(proxy.url());
        CompletedCheckpointStore recovered =
                Generation.recover(services.getCheckpointRecoveryFactory(), jobId, 2);
        CompletedCheckpoint latest = recovered.getLatestCheckpoint();
        assertEquals(3, latest.getCheckpointID());
        assertEquals(2, recovered.getAllCheckpoints().size());
        assertFalse(latest.getOperatorStates().isEmpty());
        assertEquals(4, services.getCheckpointRecoveryFactory().createCheckpointIDCounter(jobId).get());
        services.close();
    }
}
