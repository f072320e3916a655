/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.api.common.ApplicationID;
import org.apache.flink.api.common.ApplicationState;
import org.apache.flink.runtime.highavailability.ApplicationResult;
import org.apache.flink.runtime.highavailability.ApplicationResultEntry;
import org.apache.flink.runtime.highavailability.ApplicationResultStore;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.NoSuchElementException;
import java.util.Set;
import java.util.stream.Collectors;

/** Ports of Flink 2.3's ApplicationResultStoreContractTest. */
class ApplicationResultStoreTest {

    private Sidecar sidecar;
    private Leader leader;
    private ApplicationResultStore store;
    private final ApplicationID id = new ApplicationID();
    private final ApplicationResultEntry entry = entry(id);

    @BeforeEach
    void start() throws Exception {
        sidecar = Sidecar.started();
        leader = Leader.granted(sidecar);
        store = new HoldfastApplicationResultStore(leader.calls, leader.epoch, Runnable::run);
    }

    @AfterEach
    void stop() throws Exception {
        leader.close();
        sidecar.close();
    }

    private static ApplicationResultEntry entry(ApplicationID id) {
        return new ApplicationResultEntry(
                new ApplicationResult.Builder()
                        .applicationId(id)
                        .applicationState(ApplicationState.FAILED)
                        .applicationName("orders")
                        .startTime(1)
                        .endTime(2)
                        .build());
    }

    // from ApplicationResultStoreContractTest#testStoreApplicationResultsWithDuplicateIDsThrowsException
    @Test
    void refusesASecondResultOfAnApplication() {
        store.createDirtyResultAsync(entry).join();
        JobResultStoreTest.assertFailsWith(IllegalStateException.class, store.createDirtyResultAsync(entry(id)));
    }

    // from ApplicationResultStoreContractTest#testStoreDirtyEntryForAlreadyCleanedApplicationResultThrowsException
    @Test
    void refusesAResultOfACleanedApplication() {
        store.createDirtyResultAsync(entry).join();
        store.markResultAsCleanAsync(id).join();
        JobResultStoreTest.assertFailsWith(IllegalStateException.class, store.createDirtyResultAsync(entry));
    }

    // from ApplicationResultStoreContractTest#testCleaningDuplicateEntryThrowsNoException
    @Test
    void cleansTwice() {
        store.createDirtyResultAsync(entry).join();
        store.markResultAsCleanAsync(id).join();
        store.markResultAsCleanAsync(id).join();
    }

    // from ApplicationResultStoreContractTest#testCleaningNonExistentEntryThrowsException
    @Test
    void refusesToCleanWhatIsNotThere() {
        JobResultStoreTest.assertFailsWith(NoSuchElementException.class, store.markResultAsCleanAsync(id));
    }

    // from ApplicationResultStoreContractTest#testHasApplicationResultEntryWithDirtyEntry
    @Test
    void hasADirtyEntry() {
        store.createDirtyResultAsync(entry).join();
        assertTrue(store.hasDirtyApplicationResultEntryAsync(id).join());
        assertFalse(store.hasCleanApplicationResultEntryAsync(id).join());
        assertTrue(store.hasApplicationResultEntryAsync(id).join());
    }

    // from ApplicationResultStoreContractTest#testHasApplicationResultEntryWithCleanEntry
    @Test
    void hasACleanEntry() {
        store.createDirtyResultAsync(entry).join();
        store.markResultAsCleanAsync(id).join();
        assertFalse(store.hasDirtyApplicationResultEntryAsync(id).join());
        assertTrue(store.hasCleanApplicationResultEntryAsync(id).join());
        assertTrue(store.hasApplicationResultEntryAsync(id).join());
    }

    // from ApplicationResultStoreContractTest#testHasApplicationResultEntryWithEmptyStore
    @Test
    void hasNothingAtFirst() {
        assertFalse(store.hasDirtyApplicationResultEntryAsync(id).join());
        assertFalse(store.hasCleanApplicationResultEntryAsync(id).join());
        assertFalse(store.hasApplicationResultEntryAsync(id).join());
    }

    // from ApplicationResultStoreContractTest#testGetDirtyResultsWithNoEntry, …WithDirtyEntry, …WithDirtyAndCleanEntry
    @Test
    void listsOnlyDirtyEntries() throws Exception {
        assertEquals(Set.of(), store.getDirtyResults());
        store.createDirtyResultAsync(entry).join();
        assertEquals(Set.of(id), dirtyIds());
        store.markResultAsCleanAsync(id).join();
        ApplicationID other = new ApplicationID();
        store.createDirtyResultAsync(entry(other)).join();
        assertEquals(Set.of(other), dirtyIds());
    }

    // from ApplicationResultStoreContractTest#testGetCleanApplicationResult…: null unless it is clean
    @Test
    void givesTheResultOnceItIsClean() {
        assertNull(store.getCleanApplicationResultAsync(id).join());
        store.createDirtyResultAsync(entry).join();
        assertNull(store.getCleanApplicationResultAsync(id).join());
        store.markResultAsCleanAsync(id).join();
        ApplicationResult read = store.getCleanApplicationResultAsync(id).join();
        assertEquals(id, read.getApplicationId());
        assertEquals(ApplicationState.FAILED, read.getApplicationState());
        assertEquals("orders", read.getApplicationName());
        assertEquals(2, read.getEndTime());
    }

    private Set<ApplicationID> dirtyIds() throws Exception {
        return store.getDirtyResults().stream().map(ApplicationResult::getApplicationId).collect(Collectors.toSet());
    }
}
