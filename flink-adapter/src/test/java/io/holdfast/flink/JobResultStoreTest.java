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
import org.apache.flink.runtime.highavailability.JobResultEntry;
import org.apache.flink.runtime.highavailability.JobResultStore;
import org.apache.flink.runtime.jobmaster.JobResult;
import org.apache.flink.util.SerializedThrowable;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Executor;
import java.util.stream.Collectors;

/** Ports of Flink's JobResultStoreContractTest. */
class JobResultStoreTest {

    private static final Executor DIRECT = Runnable::run;

    private Sidecar sidecar;
    private Leader leader;
    private JobResultStore store;
    private final JobID jobId = new JobID();
    private final JobResultEntry entry = entry(jobId);

    @BeforeEach
    void start() throws Exception {
        sidecar = Sidecar.started();
        leader = Leader.granted(sidecar);
        store = new HoldfastJobResultStore(leader.calls, leader.epoch, DIRECT);
    }

    @AfterEach
    void stop() throws Exception {
        leader.close();
        sidecar.close();
    }

    private static JobResultEntry entry(JobID jobId) {
        return new JobResultEntry(Generation.jobResult(jobId, JobStatus.FINISHED, null));
    }

    // from JobResultStoreContractTest#testStoreJobResultsWithDuplicateIDsThrowsException
    @Test
    void refusesASecondResultOfAJob() {
        store.createDirtyResultAsync(entry).join();
        assertFailsWith(IllegalStateException.class, store.createDirtyResultAsync(entry(jobId)));
    }

    // from JobResultStoreContractTest#testStoreDirtyEntryForAlreadyCleanedJobResultThrowsException
    @Test
    void refusesAResultOfACleanedJob() {
        store.createDirtyResultAsync(entry).join();
        store.markResultAsCleanAsync(jobId).join();
        assertFailsWith(IllegalStateException.class, store.createDirtyResultAsync(entry));
    }

    // from JobResultStoreContractTest#testCleaningDuplicateEntryThrowsNoException
    @Test
    void cleansTwice() {
        store.createDirtyResultAsync(entry).join();
        store.markResultAsCleanAsync(jobId).join();
        store.markResultAsCleanAsync(jobId).join();
    }

    // from JobResultStoreContractTest#testCleaningNonExistentEntryThrowsException
    @Test
    void refusesToCleanWhatIsNotThere() {
        assertFailsWith(NoSuchElementException.class, store.markResultAsCleanAsync(jobId));
    }

    // from JobResultStoreContractTest#testHasJobResultEntryWithDirtyEntry
    @Test
    void hasADirtyEntry() {
        store.createDirtyResultAsync(entry).join();
        assertTrue(store.hasDirtyJobResultEntryAsync(jobId).join());
        assertFalse(store.hasCleanJobResultEntryAsync(jobId).join());
        assertTrue(store.hasJobResultEntryAsync(jobId).join());
    }

    // from JobResultStoreContractTest#testHasJobResultEntryWithCleanEntry
    @Test
    void hasACleanEntry() {
        store.createDirtyResultAsync(entry).join();
        store.markResultAsCleanAsync(jobId).join();
        assertFalse(store.hasDirtyJobResultEntryAsync(jobId).join());
        assertTrue(store.hasCleanJobResultEntryAsync(jobId).join());
        assertTrue(store.hasJobResultEntryAsync(jobId).join());
    }

    // from JobResultStoreContractTest#testHasJobResultEntryWithEmptyStore
    @Test
    void hasNothingAtFirst() {
        assertFalse(store.hasDirtyJobResultEntryAsync(jobId).join());
        assertFalse(store.hasCleanJobResultEntryAsync(jobId).join());
        assertFalse(store.hasJobResultEntryAsync(jobId).join());
    }

    // from JobResultStoreContractTest#testGetDirtyResultsWithNoEntry
    @Test
    void listsNothingAtFirst() throws Exception {
        assertEquals(Set.of(), store.getDirtyResults());
    }

    // from JobResultStoreContractTest#testGetDirtyResultsWithDirtyEntry
    @Test
    void listsADirtyEntry() throws Exception {
        store.createDirtyResultAsync(entry).join();
        assertEquals(Set.of(jobId), dirtyIds());
    }

    // from JobResultStoreContractTest#testGetDirtyResultsWithDirtyAndCleanEntry
    @Test
    void listsOnlyDirtyEntries() throws Exception {
        store.createDirtyResultAsync(entry).join();
        store.markResultAsCleanAsync(jobId).join();
        JobID other = new JobID();
        store.createDirtyResultAsync(entry(other)).join();
        assertEquals(Set.of(other), dirtyIds());
    }

    // from FileSystemJobResultStoreFileOperationsTest#testStoreDirtyJobResultCreatesFile (what is kept of it)
    @Test
    void keepsTheReasonOfAFailure() throws Exception {
        SerializedThrowable why = new SerializedThrowable(new Exception("why"));
        store.createDirtyResultAsync(new JobResultEntry(Generation.jobResult(jobId, JobStatus.FAILED, why))).join();
        JobResult read = store.getDirtyResults().iterator().next();
        assertFalse(read.isSuccess());
        assertTrue(read.getSerializedThrowable().get().getMessage().contains("why"));
        assertEquals("FAILED", stored("status"));
        String payload = new String(Base64.getDecoder().decode(stored("payload")), StandardCharsets.UTF_8);
        assertTrue(payload.contains("\"application-status\":\"FAILED\""), payload);
    }

    @Test
    void callsASuccessByItsJobStatus() throws Exception {
        store.createDirtyResultAsync(entry).join();
        assertEquals("FINISHED", stored("status"));
    }

    /** The next process has no other knowledge of it: this is what keeps an ended job from being run again. */
    @Test
    void survivesBothProcesses() throws Exception {
        store.createDirtyResultAsync(entry).join();
        leader.close();
        sidecar.kill();
        sidecar.start();
        leader = Leader.granted(sidecar);
        JobResultStore next = new HoldfastJobResultStore(leader.calls, leader.epoch, DIRECT);
        assertTrue(next.hasDirtyJobResultEntryAsync(jobId).join());
    }

    private String stored(String field) throws Exception {
        SidecarCall call = SidecarCall.read("/v1/results/jobs/" + jobId, leader.epoch.newest());
        return leader.client.call(call, Sidecar.ANSWER_MS).json().path(field).asText();
    }

    private Set<JobID> dirtyIds() throws Exception {
        return store.getDirtyResults().stream().map(JobResult::getJobId).collect(Collectors.toSet());
    }

    static void assertFailsWith(Class<? extends Exception> type, CompletableFuture<Void> future) {
        CompletionException failure = assertThrows(CompletionException.class, future::join);
        assertEquals(type, failure.getCause().getClass(), failure.toString());
    }
}
