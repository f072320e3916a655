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
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.runtime.checkpoint.CheckpointProperties;
import org.apache.flink.runtime.checkpoint.CompletedCheckpoint;
import org.apache.flink.runtime.checkpoint.DefaultCompletedCheckpointStoreUtils;
import org.apache.flink.runtime.persistence.StateHandleStore.AlreadyExistException;
import org.apache.flink.runtime.persistence.StateHandleStore.NotExistException;
import org.apache.flink.runtime.persistence.StringResourceVersion;
import org.apache.flink.runtime.state.CheckpointMetadataOutputStream;
import org.apache.flink.runtime.state.OperatorStateHandle;
import org.apache.flink.runtime.state.RetrievableStateHandle;
import org.apache.flink.runtime.state.memory.NonPersistentMetadataCheckpointStorageLocation;
import org.apache.flink.util.FlinkException;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;

/** The checkpoint pointers: cases of KubernetesStateHandleStoreTest, and that a checkpoint comes back as it was. */
class PointerStoreTest {

    private static Sidecar sidecar;
    private static Leader leader;
    private static TestCheckpoints checkpoints;

    private final JobID jobId = new JobID();
    private final PointerStore store = store(jobId);

    @BeforeAll
    static void start() throws Exception {
        sidecar = Sidecar.started();
        leader = Leader.granted(sidecar);
        checkpoints = new TestCheckpoints(sidecar.directory);
    }

    @AfterAll
    static void stop() throws Exception {
        leader.close();
        sidecar.close();
    }

    private static PointerStore store(JobID jobId) {
        return store(jobId, leader, Sidecar.ANSWER_MS);
    }

    private static PointerStore store(JobID jobId, Leader of, long readDeadlineMs) {
        CheckpointMetadataReader reader = new CheckpointMetadataReader(jobId, readDeadlineMs, Leader.EXIT);
        return new PointerStore(jobId, of.calls, reader, of.epoch.captured());
    }

    private static String name(long id) {
        return CheckpointNames.INSTANCE.checkpointIDToName(id);
    }

    // from KubernetesStateHandleStoreTest#testAdd
    @Test
    void rebuildsACheckpointFromItsMetadata() throws Exception {
        CompletedCheckpoint added = checkpoints.retained(jobId, 7);
        store.addAndLock(name(7), added);
        CompletedCheckpoint read = store.getAndLock(name(7)).retrieveState();
        assertEquals(jobId, read.getJobId());
        assertEquals(7, read.getCheckpointID());
        assertEquals(added.getTimestamp(), read.getTimestamp());
        assertEquals(added.getCompletionTimestamp(), read.getCompletionTimestamp());
        assertEquals(added.getExternalPointer(), read.getExternalPointer());
        assertEquals(added.getProperties(), read.getProperties());
        assertFalse(read.getRestoredProperties().isPresent());
        OperatorStateHandle state =
                read.getOperatorStates().get(TestCheckpoints.OPERATOR).getState(0).getManagedOperatorState().iterator().next();
        assertEquals(
                TestCheckpoints.STATE,
                new String(state.openInputStream().readAllBytes(), StandardCharsets.UTF_8));
    }

    /** A savepoint restored with NO_CLAIM must not be deleted when it is subsumed, although its file says otherwise. */
    @Test
    void keepsThePropertiesOfARestoredSavepoint() throws Exception {
        List<CheckpointProperties> kinds =
                List.of(
                        CheckpointProperties.forUnclaimedSnapshot(),
                        CheckpointProperties.forSavepoint(false, SavepointFormatType.NATIVE),
                        CheckpointProperties.forSavepoint(true, SavepointFormatType.CANONICAL),
                        TestCheckpoints.NEVER_RETAINED);
        for (int i = 0; i < kinds.size(); i++) {
            CheckpointProperties restoredWith = CheckpointProperties.forSavepoint(true, SavepointFormatType.CANONICAL);
            store.addAndLock(name(i + 1), checkpoints.write(jobId, i + 1, kinds.get(i), restoredWith));
            CompletedCheckpoint read = store.getAndLock(name(i + 1)).retrieveState();
            assertEquals(kinds.get(i), read.getProperties());
            assertEquals(restoredWith, read.getRestoredProperties().get());
        }
        assertFalse(store.getAndLock(name(1)).retrieveState().shouldBeDiscardedOnSubsume());
    }

    // from KubernetesStateHandleStoreTest#testAddAndLockShouldNotThrowAlreadyExistExceptionWithSameContents
    @Test
    void addsTheSameAgain() throws Exception {
        CompletedCheckpoint checkpoint = checkpoints.retained(jobId, 1);
        store.addAndLock(name(1), checkpoint);
        store.addAndLock(name(1), checkpoint);
        assertEquals(1, store.getAllAndLock().size());
    }

    // from KubernetesStateHandleStoreTest#testAddAndLockWithExistingKey
    @Test
    void refusesToAddAnother() throws Exception {
        store.addAndLock(name(1), checkpoints.retained(jobId, 1));
        CompletedCheckpoint another = checkpoints.write(jobId, 1, TestCheckpoints.NEVER_RETAINED, null);
        assertThrows(AlreadyExistException.class, () -> store.addAndLock(name(1), another));
        assertEquals(TestCheckpoints.RETAINED, store.getAndLock(name(1)).retrieveState().getProperties());
    }

    // from KubernetesStateHandleStoreTest#testGetAll, #testGetAllHandles: sorted, as ZooKeeperStateHandleStoreTest#testGetAllSortedByName
    @Test
    void listsAllInTheOrderOfTheirIds() throws Exception {
        List<Long> ids = List.of(9L, 10L, 100L, 11L);
        for (long id : ids) {
            store.addAndLock(name(id), checkpoints.retained(jobId, id));
        }
        List<String> sorted = ids.stream().sorted().map(PointerStoreTest::name).collect(Collectors.toList());
        assertEquals(sorted, store.getAllHandles());
        List<Long> read = new ArrayList<>();
        for (Tuple2<RetrievableStateHandle<CompletedCheckpoint>, String> handle : store.getAllAndLock()) {
            read.add(handle.f0.retrieveState().getCheckpointID());
        }
        assertEquals(List.of(9L, 10L, 11L, 100L), read);
        // and through Flink's own recovery
        Collection<CompletedCheckpoint> recovered =
                DefaultCompletedCheckpointStoreUtils.retrieveCompletedCheckpoints(store, CheckpointNames.INSTANCE);
        assertEquals(
                List.of(9L, 10L, 11L, 100L),
                recovered.stream().map(CompletedCheckpoint::getCheckpointID).collect(Collectors.toList()));
    }

    // from KubernetesStateHandleStoreTest#testGetAndExist, #testGetNonExistingKey
    @Test
    void findsWhatIsThere() throws Exception {
        assertFalse(store.exists(name(1)).isExisting());
        assertThrows(NotExistException.class, () -> store.getAndLock(name(1)));
        store.addAndLock(name(1), checkpoints.retained(jobId, 1));
        assertTrue(store.exists(name(1)).isExisting());
        assertThrows(NotExistException.class, () -> store.getAndLock(name(2)));
    }

    // from KubernetesStateHandleStoreTest#testRemove, #testRemoveOfNonExistingState (FLINK-25432)
    @Test
    void removesTwice() throws Exception {
        assertTrue(store.releaseAndTryRemove(name(1)), "of a job that was never seen");
        store.addAndLock(name(1), checkpoints.retained(jobId, 1));
        assertTrue(store.releaseAndTryRemove(name(1)));
        assertTrue(store.releaseAndTryRemove(name(1)));
        assertEquals(List.of(), store.getAllHandles());
    }

    // from KubernetesStateHandleStoreTest#testReleaseAndTryRemoveAll: only its own
    @Test
    void clearsOnlyItsOwnJob() throws Exception {
        JobID otherJob = new JobID();
        PointerStore other = store(otherJob);
        store.addAndLock(name(1), checkpoints.retained(jobId, 1));
        store.addAndLock(name(2), checkpoints.retained(jobId, 2));
        other.addAndLock(name(1), checkpoints.retained(otherJob, 1));
        store.clearEntries();
        store.clearEntries();
        assertEquals(List.of(), store.getAllHandles());
        assertEquals(List.of(name(1)), other.getAllHandles());
    }

    // from KubernetesStateHandleStoreTest#testRelease: nothing happens
    @Test
    void releasesNothing() throws Exception {
        store.addAndLock(name(1), checkpoints.retained(jobId, 1));
        store.release(name(1));
        store.releaseAll();
        assertEquals(1, store.getAllAndLock().size());
    }

    @Test
    void neverReplaces() {
        assertThrows(
                UnsupportedOperationException.class,
                () -> store.replace(name(1), StringResourceVersion.notExisting(), checkpoints.retained(jobId, 1)));
    }

    // from DefaultCompletedCheckpointStoreTest#testRecoverFailsIfDownloadFails and FLINK-22502: none is skipped
    @Test
    void aMissingMetadataFailsTheRecovery() throws Exception {
        store.addAndLock(name(1), checkpoints.retained(jobId, 1));
        store.addAndLock(name(2), checkpoints.retained(jobId, 2));
        Files.delete(checkpoints.metadata(jobId, 2));
        assertThrows(FileNotFoundException.class, () -> store.getAndLock(name(2)).retrieveState());
        assertThrows(
                FlinkException.class,
                () ->
                        DefaultCompletedCheckpointStoreUtils.retrieveCompletedCheckpoints(
                                store, CheckpointNames.INSTANCE));
    }

    @Test
    void aBrokenMetadataFailsTheRecoveryAtOnce() throws Exception {
        for (long id = 1; id <= 3; id++) {
            store.addAndLock(name(id), checkpoints.retained(jobId, id));
        }
        byte[] whole = Files.readAllBytes(checkpoints.metadata(jobId, 1));
        Files.write(checkpoints.metadata(jobId, 1), Arrays.copyOf(whole, whole.length / 2));
        Files.write(checkpoints.metadata(jobId, 2), new byte[] {1, 2, 3, 4, 5, 6, 7, 8});
        assertThrows(IOException.class, () -> store.getAndLock(name(1)).retrieveState(), "cut off");
        assertThrows(IOException.class, () -> store.getAndLock(name(2)).retrieveState(), "not a checkpoint");
        Files.write(checkpoints.metadata(jobId, 1), Files.readAllBytes(checkpoints.metadata(jobId, 3)));
        IOException other = assertThrows(IOException.class, () -> store.getAndLock(name(1)).retrieveState());
        assertTrue(other.getMessage().contains("holds checkpoint 3 and not 1"), other.getMessage());
    }

    /** A storage that does not answer is not a broken checkpoint; waited for, and then the process ends. */
    @Test
    void aStorageThatFailsIsWaitedForAndEndsTheProcess() throws Exception {
        store.addAndLock(name(1), checkpoints.retained(jobId, 1));
        byte[] whole = Files.readAllBytes(checkpoints.metadata(jobId, 1));
        Files.delete(checkpoints.metadata(jobId, 1));
        // Can be opened, and reading it is an I/O error (address 0 is not mapped).
        Files.createSymbolicLink(checkpoints.metadata(jobId, 1), Path.of("/proc/self/mem"));
        PointerStore impatient = store(jobId, leader, 2_000);
        assertThrows(Leader.ProcessEnded.class, () -> impatient.getAndLock(name(1)).retrieveState());
        ExecutorService executor = Executors.newSingleThreadExecutor();
        try {
            Future<CompletedCheckpoint> reading = executor.submit(() -> store.getAndLock(name(1)).retrieveState());
            Files.delete(checkpoints.metadata(jobId, 1));
            Files.write(checkpoints.metadata(jobId, 1), whole);
            assertEquals(1, reading.get().getCheckpointID());
        } finally {
            executor.shutdownNow();
        }
    }

    @Test
    void aCheckpointInMemoryIsRefused() throws Exception {
        CheckpointMetadataOutputStream metadata =
                new NonPersistentMetadataCheckpointStorageLocation(1024).createMetadataOutputStream();
        CompletedCheckpoint inMemory =
                new CompletedCheckpoint(
                        jobId,
                        1,
                        1,
                        2,
                        Map.of(),
                        List.of(),
                        TestCheckpoints.RETAINED,
                        metadata.closeAndFinalizeCheckpoint(),
                        null);
        FlinkException refused = assertThrows(FlinkException.class, () -> store.addAndLock(name(1), inMemory));
        assertTrue(refused.getMessage().contains("execution.checkpointing.dir"), refused.getMessage());
    }

    // from KubernetesStateHandleStoreITCase and ZooKeeperStateHandleStoreTest#testConcurrent…: concurrent adds
    @Test
    void concurrentAddsAllArrive() throws Exception {
        int threads = 8;
        ExecutorService executor = Executors.newFixedThreadPool(threads);
        try {
            List<Future<?>> adding = new ArrayList<>();
            for (long id = 1; id <= 24; id++) {
                CompletedCheckpoint checkpoint = checkpoints.retained(jobId, id);
                adding.add(
                        executor.submit(() -> store.addAndLock(name(checkpoint.getCheckpointID()), checkpoint)));
            }
            for (Future<?> added : adding) {
                added.get();
            }
            assertEquals(24, store.getAllHandles().size());
        } finally {
            executor.shutdownNow();
        }
    }

    @Test
    void raisesTheCounterAboveTheId() throws Exception {
        store.addAndLock(name(41), checkpoints.retained(jobId, 41));
        assertEquals(42, new HoldfastCheckpointIDCounter(jobId, leader.calls, leader.epoch.captured()).get());
    }

    @Test
    void survivesBothProcesses() throws Exception {
        try (Sidecar own = Sidecar.started()) {
            try (Leader first = Leader.granted(own)) {
                store(jobId, first, Sidecar.ANSWER_MS).addAndLock(name(7), checkpoints.retained(jobId, 7));
            }
            own.kill();
            own.start();
            try (Leader second = Leader.granted(own)) {
                PointerStore after = store(jobId, second, Sidecar.ANSWER_MS);
                assertEquals(7, after.getAndLock(name(7)).retrieveState().getCheckpointID());
            }
        }
    }
}
