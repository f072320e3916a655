/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.api.common.JobID;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.util.List;
import java.util.function.LongSupplier;

/**
 * What Flink asks when a job starts. An exception there can make it mark the job FAILED and clean up its recovery data
 * (SUBMISSION in JobMasterServiceLeadershipRunner), so only what is certain may be one.
 */
class RecoveryTest {

    private interface Read {
        Object read(DurableCalls calls) throws Exception;
    }

    private Sidecar sidecar;
    private Leader leader;
    private FaultProxy proxy;
    private final JobID jobId = new JobID();

    @BeforeEach
    void start() throws Exception {
        sidecar = Sidecar.started();
        leader = Leader.granted(sidecar);
        proxy = new FaultProxy(sidecar);
    }

    @AfterEach
    void stop() throws Exception {
        proxy.close();
        leader.close();
        sidecar.close();
    }

    private List<Read> reads() {
        return List.of(
                calls -> new PointerStore(jobId, calls, null, leader.epoch.captured()).getAllAndLock(),
                calls -> TestGraphs.store(calls, leader.epoch.captured()).getAllHandles(),
                calls -> new HoldfastJobResultStore(calls, leader.epoch, Runnable::run).getDirtyResults(),
                calls -> new HoldfastCheckpointIDCounter(jobId, calls, leader.epoch.captured()).get());
    }

    @Test
    void failuresThatPassAreWaitedOut() throws Exception {
        for (Read read : reads()) {
            proxy.onRequests(
                    "GET ",
                    request -> {
                        switch (request) {
                            case 1:
                                return FaultProxy.Fault.DROP_ANSWER;
                            case 2:
                                return FaultProxy.Fault.UNAVAILABLE;
                            case 3:
                                return FaultProxy.Fault.SILENCE;
                            default:
                                return FaultProxy.Fault.NONE;
                        }
                    });
            read.read(leader.callsThrough(proxy.url()));
        }
    }

    @Test
    void failuresThatStayEndTheProcessAndAreNoException() {
        proxy.onRequests("GET ", request -> FaultProxy.Fault.UNAVAILABLE);
        for (Read read : reads().subList(0, 2)) {
            assertThrows(Leader.ProcessEnded.class, () -> read.read(leader.impatientCallsThrough(proxy.url())));
        }
    }

    @Test
    void aJobThatWasNeverSeenHasCertainlyNothing() throws Exception {
        assertEquals(
                List.of(), new PointerStore(jobId, leader.calls, null, leader.epoch.captured()).getAllAndLock());
    }

    @Test
    void aDeposedProcessReadsNothing() throws Exception {
        long older = leader.epoch.newest();
        leader.close();
        leader = Leader.granted(sidecar);
        SidecarException refused =
                assertThrows(
                        SidecarException.class,
                        () -> new PointerStore(jobId, leader.calls, null, () -> older).getAllAndLock());
        assertTrue(refused.is(Problem.FENCED), refused.toString());
        LeadershipEpoch stale = new LeadershipEpoch();
        stale.granted(older);
        assertThrows(
                IOException.class,
                () -> new HoldfastJobResultStore(leader.calls, stale, Runnable::run).getDirtyResults());
    }

    @Test
    void withoutAnyLeadershipNothingIsAsked() {
        LeadershipEpoch none = new LeadershipEpoch();
        assertThrows(
                IllegalStateException.class,
                () -> new PointerStore(jobId, leader.calls, null, none.captured()).getAllAndLock());
    }

    @Test
    void anObjectKeepsTheEpochUnderWhichItWasMade() {
        LeadershipEpoch epoch = new LeadershipEpoch();
        LongSupplier early = epoch.captured();
        epoch.granted(3);
        assertEquals(3, early.getAsLong());
        LongSupplier made = epoch.captured();
        epoch.granted(4);
        assertEquals(3, early.getAsLong());
        assertEquals(3, made.getAsLong());
        assertEquals(4, epoch.newest());
    }
}
