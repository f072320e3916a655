/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.api.common.JobID;
import org.apache.flink.runtime.persistence.StateHandleStore.AlreadyExistException;
import org.apache.flink.runtime.persistence.StateHandleStore.NotExistException;
import org.apache.flink.runtime.persistence.StringResourceVersion;
import org.apache.flink.util.FlinkException;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Ports of the cases of KubernetesStateHandleStoreTest that bind a store of graphs; a string stands for the graph. */
class GraphStoreTest {

    private Sidecar sidecar;
    private Leader leader;
    private GraphStore<String> store;
    private final String key = new JobID().toString();

    @BeforeEach
    void start() throws Exception {
        sidecar = Sidecar.started();
        leader = Leader.granted(sidecar);
        store = TestGraphs.store(leader.calls, leader.epoch.captured());
    }

    @AfterEach
    void stop() throws Exception {
        leader.close();
        sidecar.close();
    }

    // from KubernetesStateHandleStoreTest#testAdd
    @Test
    void adds() throws Exception {
        assertEquals("graph", store.addAndLock(key, "graph").retrieveState());
        assertEquals(1, store.getAllAndLock().size());
        assertEquals("graph", store.getAndLock(key).retrieveState());
    }

    // from KubernetesStateHandleStoreTest#testAddAndLockWithExistingKey
    @Test
    void refusesToAddAnother() throws Exception {
        store.addAndLock(key, "graph");
        assertThrows(AlreadyExistException.class, () -> store.addAndLock(key, "another"));
        assertEquals("graph", store.getAndLock(key).retrieveState());
    }

    // from KubernetesStateHandleStoreTest#testAddAndLockShouldNotThrowAlreadyExistExceptionWithSameContents
    @Test
    void addsTheSameAgain() throws Exception {
        store.addAndLock(key, "graph");
        store.addAndLock(key, "graph");
        assertEquals(1, store.getAllAndLock().size());
    }

    // from KubernetesStateHandleStoreTest#testAddAndLockWithDeletingEntry
    @Test
    void addsAfterARemoval() throws Exception {
        store.addAndLock(key, "graph");
        store.releaseAndTryRemove(key);
        store.addAndLock(key, "another");
        assertEquals("another", store.getAndLock(key).retrieveState());
    }

    // from KubernetesStateHandleStoreTest#testReplace
    @Test
    void replaces() throws Exception {
        store.addAndLock(key, "graph");
        StringResourceVersion version = store.exists(key);
        store.replace(key, version, "another");
        assertEquals("another", store.getAndLock(key).retrieveState());
        assertEquals(1, store.getAllAndLock().size());
        assertNotEquals(version, store.exists(key));
    }

    // from KubernetesStateHandleStoreTest#testReplaceWithKeyNotExist
    @Test
    void refusesToReplaceNothing() throws Exception {
        assertFalse(store.exists(key).isExisting());
        StringResourceVersion invented = StringResourceVersion.valueOf("0".repeat(64));
        assertThrows(NotExistException.class, () -> store.replace(key, invented, "graph"));
        assertEquals(0, store.getAllAndLock().size());
    }

    // from ZooKeeperStateHandleStoreTest#testReplaceFails (a version that is not the current one)
    @Test
    void refusesToReplaceWhatAnotherReplaced() throws Exception {
        store.addAndLock(key, "graph");
        StringResourceVersion version = store.exists(key);
        store.replace(key, version, "another");
        assertThrows(FlinkException.class, () -> store.replace(key, version, "a third"));
        assertEquals("another", store.getAndLock(key).retrieveState());
    }

    // from KubernetesStateHandleStoreTest#testGetAndExist
    @Test
    void findsWhatIsThere() throws Exception {
        store.addAndLock(key, "graph");
        assertTrue(store.exists(key).isExisting());
        String other = new JobID().toString();
        assertFalse(store.exists(other).isExisting());
        assertThrows(NotExistException.class, () -> store.getAndLock(other));
    }

    // from KubernetesStateHandleStoreTest#testGetAllHandles and #testGetAll
    @Test
    void listsAll() throws Exception {
        Set<String> keys = new HashSet<>();
        for (int i = 0; i < 5; i++) {
            String next = new JobID().toString();
            keys.add(next);
            store.addAndLock(next, "graph " + i);
        }
        assertEquals(keys, new HashSet<>(store.getAllHandles()));
        assertEquals(5, store.getAllAndLock().size());
    }

    // from KubernetesStateHandleStoreTest#testRemove, #testRemoveOfNonExistingState (repeatable clean-up, FLINK-25432)
    @Test
    void removesTwice() throws Exception {
        store.addAndLock(key, "graph");
        assertTrue(store.releaseAndTryRemove(key));
        assertTrue(store.releaseAndTryRemove(key));
        assertTrue(store.releaseAndTryRemove(new JobID().toString()));
        assertEquals(0, store.getAllHandles().size());
    }

    // from KubernetesStateHandleStoreTest#testReleaseAndTryRemoveAll
    @Test
    void clears() throws Exception {
        store.addAndLock(key, "graph");
        store.addAndLock(new JobID().toString(), "another");
        store.clearEntries();
        assertEquals(0, store.getAllHandles().size());
    }

    // from KubernetesStateHandleStoreTest#testRelease: nothing happens
    @Test
    void releasesNothing() throws Exception {
        store.addAndLock(key, "graph");
        store.release(key);
        store.releaseAll();
        assertTrue(store.exists(key).isExisting());
    }

    // from KubernetesStateHandleStoreITCase#testMultipleKubernetesStateHandleStores (concurrent adds: one wins)
    @Test
    void ofConcurrentAddsOneWins() throws Exception {
        int threads = 6;
        ExecutorService executor = Executors.newFixedThreadPool(threads);
        try {
            List<Future<Boolean>> adding = new ArrayList<>();
            for (int thread = 0; thread < threads; thread++) {
                String graph = "graph " + thread;
                adding.add(
                        executor.submit(
                                () -> {
                                    try {
                                        store.addAndLock(key, graph);
                                        return true;
                                    } catch (AlreadyExistException e) {
                                        return false;
                                    }
                                }));
            }
            int winners = 0;
            for (Future<Boolean> added : adding) {
                winners += added.get() ? 1 : 0;
            }
            assertEquals(1, winners);
        } finally {
            executor.shutdownNow();
        }
    }

    // from KubernetesStateHandleStoreITCase: only the leader writes
    @Test
    void anOlderEpochWritesNothing() throws Exception {
        long older = leader.epoch.newest();
        leader.close();
        leader = Leader.granted(sidecar);
        SidecarException refused =
                assertThrows(
                        SidecarException.class,
                        () -> TestGraphs.store(leader.calls, () -> older).addAndLock(key, "graph"));
        assertTrue(refused.is(Problem.FENCED), refused.toString());
    }

    /** Flink answers an exception of putExecutionPlan with the global clean-up of the job. */
    @Test
    void aLostAnswerOfAnAddIsAskedForAgain() throws Exception {
        try (FaultProxy proxy = new FaultProxy(sidecar)) {
            proxy.onRequests("PUT ", request -> request <= 2 ? FaultProxy.Fault.DROP_ANSWER : FaultProxy.Fault.NONE);
            TestGraphs.store(leader.callsThrough(proxy.url()), leader.epoch.captured()).addAndLock(key, "graph");
            assertEquals("graph", store.getAndLock(key).retrieveState());
        }
    }

    @Test
    void anAddThatIsNeverDecidedEndsTheProcess() throws Exception {
        for (FaultProxy.Fault fault : List.of(FaultProxy.Fault.DROP_ANSWER, FaultProxy.Fault.UNAVAILABLE)) {
            try (FaultProxy proxy = new FaultProxy(sidecar)) {
                proxy.onRequests("PUT ", request -> fault);
                GraphStore<String> broken =
                        TestGraphs.store(leader.impatientCallsThrough(proxy.url()), leader.epoch.captured());
                assertThrows(Leader.ProcessEnded.class, () -> broken.addAndLock(key, "graph"), fault.toString());
            }
        }
    }
}
