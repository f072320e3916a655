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
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.checkpoint.CheckpointProperties;
import org.apache.flink.runtime.checkpoint.CompletedCheckpoint;
import org.apache.flink.runtime.persistence.PossibleInconsistentStateException;
import org.apache.flink.util.ExceptionUtils;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.function.LongSupplier;

/**
 * The commit point under every kind of failure. Flink deletes the checkpoint's files when {@code addAndLock} throws, and
 * fails over to the checkpoint before: an exception is only right when nothing was and nothing will be recorded.
 */
class AmbiguousAddTest {

    private static final String ADD = "PUT /v1/jobs/";

    private Sidecar sidecar;
    private Leader leader;
    private FaultProxy proxy;
    private CompletedCheckpoint checkpoint;
    private final JobID jobId = new JobID();

    @BeforeEach
    void start() throws Exception {
        sidecar = Sidecar.started();
        leader = Leader.granted(sidecar);
        proxy = new FaultProxy(sidecar);
        checkpoint = new TestCheckpoints(sidecar.directory).retained(jobId, 1);
    }

    @AfterEach
    void stop() throws Exception {
        proxy.close();
        leader.close();
        sidecar.close();
    }

    private PointerStore store(DurableCalls calls, LongSupplier epoch) {
        return new PointerStore(jobId, calls, new CheckpointMetadataReader(jobId, Sidecar.ANSWER_MS, Leader.EXIT), epoch);
    }

    private PointerStore throughProxy() {
        return store(leader.callsThrough(proxy.url()), leader.epoch.captured());
    }

    private PointerStore impatientThroughProxy() {
        return store(leader.impatientCallsThrough(proxy.url()), leader.epoch.captured());
    }

    private void add(PointerStore to) throws Exception {
        to.addAndLock(CheckpointNames.INSTANCE.checkpointIDToName(1), checkpoint);
    }

    private int recorded() throws Exception {
        return store(leader.calls, leader.epoch.captured()).getAllHandles().size();
    }

    @Test
    void aLostAnswerIsAskedForAgain() throws Exception {
        proxy.onRequests(ADD, request -> request <= 2 ? FaultProxy.Fault.DROP_ANSWER : FaultProxy.Fault.NONE);
        add(throughProxy());
        assertEquals(1, recorded());
        assertTrue(proxy.seen.size() >= 3, proxy.seen.toString());
    }

    @Test
    void anUnknownOutcomeIsAskedForAgain() throws Exception {
        proxy.onRequests(ADD, request -> request == 1 ? FaultProxy.Fault.UNKNOWN_OUTCOME : FaultProxy.Fault.NONE);
        add(throughProxy());
        assertEquals(1, recorded());
    }

    @Test
    void anUnavailableStoreIsAskedAgain() throws Exception {
        proxy.onRequests(ADD, request -> request <= 2 ? FaultProxy.Fault.UNAVAILABLE : FaultProxy.Fault.NONE);
        add(throughProxy());
        assertEquals(1, recorded());
    }

    @Test
    void aSidecarThatRestartsIsWaitedFor() throws Exception {
        sidecar.kill();
        Thread restart = Threads.daemon("restart", this::startQuietly);
        restart.start();
        add(store(leader.calls, leader.epoch.captured()));
        restart.join();
        assertEquals(1, recorded());
    }

    private void startQuietly() {
        try {
            sidecar.start();
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void anAnswerThatNeverArrivesEndsTheProcess() throws Exception {
        proxy.onRequests(ADD, request -> FaultProxy.Fault.DROP_ANSWER);
        Leader.ProcessEnded ended = assertThrows(Leader.ProcessEnded.class, () -> add(impatientThroughProxy()));
        assertTrue(ended.getMessage().contains("unknown whether"), ended.getMessage());
        // That is why: the sidecar had recorded it.
        assertEquals(1, recorded());
    }

    @Test
    void anOutcomeThatStaysUnknownEndsTheProcess() {
        for (FaultProxy.Fault fault :
                List.of(FaultProxy.Fault.UNKNOWN_OUTCOME, FaultProxy.Fault.SILENCE, FaultProxy.Fault.DROP_REQUEST)) {
            proxy.onRequests(ADD, request -> fault);
            assertThrows(Leader.ProcessEnded.class, () -> add(impatientThroughProxy()), fault.toString());
        }
    }

    /** One attempt that may have been recorded is enough, whatever the others said. */
    @Test
    void anUnknownOutcomeAmongRefusalsEndsTheProcess() {
        proxy.onRequests(
                ADD, request -> request == 2 ? FaultProxy.Fault.UNKNOWN_OUTCOME : FaultProxy.Fault.UNAVAILABLE);
        assertThrows(Leader.ProcessEnded.class, () -> add(impatientThroughProxy()));
    }

    @Test
    void aStoreThatStaysUnavailableIsAPlainException() throws Exception {
        proxy.onRequests(ADD, request -> FaultProxy.Fault.UNAVAILABLE);
        assertPlain(assertThrows(SidecarException.class, () -> add(impatientThroughProxy())));
        assertEquals(0, recorded());
    }

    /** It would turn what is known, that nothing was recorded, into something unknown. */
    @Test
    void anAttemptThatHasNoTimeForItsAnswerIsNotBegun() throws Exception {
        proxy.onRequests(
                ADD, request -> request == 1 ? FaultProxy.Fault.UNAVAILABLE_FOR_2_S : FaultProxy.Fault.SILENCE);
        Configuration patientOnlyOnce = Sidecar.impatient(proxy.url());
        patientOnlyOnce.set(HoldfastOptions.REQUEST_TIMEOUT, patientOnlyOnce.get(HoldfastOptions.ADD_DEADLINE));
        PointerStore store = store(Leader.calls(patientOnlyOnce), leader.epoch.captured());
        assertPlain(assertThrows(SidecarException.class, () -> add(store)));
        assertEquals(0, recorded());
    }

    @Test
    void aSidecarThatIsNotThereIsAPlainException() {
        DurableCalls nowhere = leader.impatientCallsThrough("http://127.0.0.1:" + Sidecar.freePort());
        assertPlain(assertThrows(SidecarException.class, () -> add(store(nowhere, leader.epoch.captured()))));
    }

    @Test
    void aDeposedLeaderIsRefusedAtOnceWithAPlainException() throws Exception {
        long older = leader.epoch.newest();
        leader.close();
        leader = Leader.granted(sidecar);
        SidecarException refused =
                assertThrows(
                        SidecarException.class, () -> add(store(leader.callsThrough(proxy.url()), () -> older)));
        assertTrue(refused.is(Problem.FENCED), refused.toString());
        assertPlain(refused);
        assertEquals(1, proxy.seen.size());
        assertEquals(0, recorded());
    }

    /** The first attempt may have been recorded before the newer epoch was: its files may be what the new leader restores. */
    @Test
    void aDeposedLeaderWithAnUnknownOutcomeEndsItsProcess() throws Exception {
        long older = leader.epoch.newest();
        leader.close();
        leader = Leader.granted(sidecar);
        proxy.onRequests(ADD, request -> request == 1 ? FaultProxy.Fault.UNKNOWN_OUTCOME : FaultProxy.Fault.NONE);
        assertThrows(
                Leader.ProcessEnded.class, () -> add(store(leader.callsThrough(proxy.url()), () -> older)));
    }

    /** Added while the job starts, where an exception would end the job for good. */
    @Test
    void aRestoredSnapshotIsNeverRefusedForAFailureThatMayPass() throws Exception {
        checkpoint =
                new TestCheckpoints(sidecar.directory)
                        .write(jobId, 1, CheckpointProperties.forUnclaimedSnapshot(), TestCheckpoints.RETAINED);
        proxy.onRequests(ADD, request -> FaultProxy.Fault.UNAVAILABLE);
        assertThrows(Leader.ProcessEnded.class, () -> add(impatientThroughProxy()));
    }

    /** Flink interrupts its io threads when it shuts down. */
    @Test
    void anInterruptDoesNotAbandonAnAdd() throws Exception {
        proxy.onRequests(ADD, request -> request == 1 ? FaultProxy.Fault.DROP_ANSWER : FaultProxy.Fault.NONE);
        Thread.currentThread().interrupt();
        add(throughProxy());
        assertTrue(Thread.interrupted(), "the interrupt is kept");
        assertEquals(1, recorded());
    }

    private static void assertPlain(Exception failure) {
        assertFalse(ExceptionUtils.findThrowable(failure, PossibleInconsistentStateException.class).isPresent());
    }
}
