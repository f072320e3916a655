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
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.runtime.checkpoint.CheckpointIDCounter;
import org.apache.flink.util.ExceptionUtils;
import org.apache.flink.util.FlinkException;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.LongStream;

/** Ports of Flink's CheckpointIDCounterTestBase, and what Flink makes of failures. */
class CheckpointIDCounterTest {

    private static Sidecar sidecar;
    private static Leader leader;

    private final JobID jobId = new JobID();

    @BeforeAll
    static void start() throws Exception {
        sidecar = Sidecar.started();
        leader = Leader.granted(sidecar);
    }

    @AfterAll
    static void stop() throws Exception {
        leader.close();
        sidecar.close();
    }

    private CheckpointIDCounter counter() {
        return new HoldfastCheckpointIDCounter(jobId, leader.calls, leader.epoch.captured());
    }

    // from CheckpointIDCounterTestBase#testCounterIsNeverNegative
    @Test
    void isNeverNegative() throws Exception {
        CheckpointIDCounter counter = counter();
        counter.start();
        assertTrue(counter.get() >= 0);
    }

    // from CheckpointIDCounterTestBase#testSerialIncrementAndGet
    @Test
    void countsFromOne() throws Exception {
        CheckpointIDCounter counter = counter();
        counter.start();
        for (long id = 1; id <= 4; id++) {
            assertEquals(id, counter.get());
            assertEquals(id, counter.getAndIncrement());
        }
    }

    // from CheckpointIDCounterTestBase#testConcurrentGetAndIncrement
    @Test
    void isGapFreeWithEightThreads() throws Exception {
        int threads = 8;
        int idsPerThread = 128;
        CheckpointIDCounter counter = counter();
        counter.start();
        ExecutorService executor = Executors.newFixedThreadPool(threads);
        try {
            List<Future<List<Long>>> running = new ArrayList<>();
            for (int thread = 0; thread < threads; thread++) {
                running.add(
                        executor.submit(
                                () -> {
                                    List<Long> ids = new ArrayList<>();
                                    for (int i = 0; i < idsPerThread; i++) {
                                        ids.add(counter.getAndIncrement());
                                    }
                                    return ids;
                                }));
            }
            List<Long> all = new ArrayList<>();
            for (Future<List<Long>> ids : running) {
                List<Long> ofOneThread = ids.get();
                assertEquals(ofOneThread.stream().sorted().collect(Collectors.toList()), ofOneThread);
                all.addAll(ofOneThread);
            }
            assertEquals(
                    LongStream.rangeClosed(1, threads * idsPerThread).boxed().collect(Collectors.toList()),
                    all.stream().sorted().collect(Collectors.toList()));
            assertEquals(threads * idsPerThread + 1, counter.get());
        } finally {
            executor.shutdownNow();
        }
    }

    // from CheckpointIDCounterTestBase#testSetCount
    @Test
    void canBeSet() throws Exception {
        CheckpointIDCounter counter = counter();
        counter.start();
        counter.setCount(1337);
        assertEquals(1337, counter.get());
        assertEquals(1337, counter.getAndIncrement());
        assertEquals(1338, counter.get());
        assertEquals(1338, counter.getAndIncrement());
    }

    // from ZooKeeperCheckpointIDCounterITCase#testShutdownRemovesState and #testSuspendKeepsState: here it always stays
    @Test
    void goesOnInTheNextProcessWhateverTheStatus() throws Exception {
        CheckpointIDCounter counter = counter();
        counter.start();
        counter.getAndIncrement();
        counter.shutdown(JobStatus.FAILED).get();
        CheckpointIDCounter next = counter();
        next.start();
        assertEquals(2, next.getAndIncrement());
    }

    @Test
    void isOneForAJobThatWasNeverSeen() {
        assertEquals(CheckpointIDCounter.INITIAL_CHECKPOINT_ID, counter().get());
    }

    /** The same intention is repeated, so that a lost answer costs no id. */
    @Test
    void aLostAnswerIsAskedForAgain() throws Exception {
        try (FaultProxy proxy = new FaultProxy(sidecar)) {
            CheckpointIDCounter counter =
                    new HoldfastCheckpointIDCounter(jobId, leader.callsThrough(proxy.url()), leader.epoch.captured());
            counter.start();
            proxy.onRequests("POST ", request -> request == 1 ? FaultProxy.Fault.DROP_ANSWER : FaultProxy.Fault.NONE);
            assertEquals(1, counter.getAndIncrement());
            assertEquals(2, counter.getAndIncrement());
        }
    }

    /** CheckpointFailureReason IO_EXCEPTION is counted against tolerable-failed-checkpoints; others only skip a trigger. */
    @Test
    void aFailureHasNoIoExceptionInItsCauseChain() throws Exception {
        try (FaultProxy proxy = new FaultProxy(sidecar)) {
            for (FaultProxy.Fault fault :
                    List.of(FaultProxy.Fault.UNAVAILABLE, FaultProxy.Fault.DROP_REQUEST, FaultProxy.Fault.SILENCE)) {
                proxy.onRequests("POST ", request -> fault);
                CheckpointIDCounter counter =
                        new HoldfastCheckpointIDCounter(
                                jobId, leader.impatientCallsThrough(proxy.url()), leader.epoch.captured());
                FlinkException failure = assertThrows(FlinkException.class, counter::getAndIncrement);
                assertFalse(ExceptionUtils.findThrowable(failure, IOException.class).isPresent(), fault.toString());
            }
        }
    }

    @Test
    void aRefusalIsNotRepeated() throws Exception {
        try (FaultProxy proxy = new FaultProxy(sidecar)) {
            long older = leader.epoch.newest() - 1;
            CheckpointIDCounter counter =
                    new HoldfastCheckpointIDCounter(jobId, leader.callsThrough(proxy.url()), () -> older);
            SidecarException refused = assertThrows(SidecarException.class, counter::getAndIncrement);
            assertTrue(refused.is(Problem.FENCED), refused.toString());
            assertEquals(1, proxy.seen.size());
        }
    }
}
