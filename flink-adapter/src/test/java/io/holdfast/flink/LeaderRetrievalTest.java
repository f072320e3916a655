/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.runtime.leaderelection.LeaderInformation;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalDriver;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalListener;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalService;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.net.URI;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CopyOnWriteArrayList;

/** Retrieval as a TaskManager does it: over the public listener. */
class LeaderRetrievalTest {

    private Sidecar sidecar;
    private Leader leader;
    private UUID session;
    private final List<Throwable> fatal = new CopyOnWriteArrayList<>();

    @BeforeEach
    void publishADispatcher() throws Exception {
        sidecar = Sidecar.started();
        leader = Leader.granted(sidecar);
        session = leader.listener.grants.get(0);
        leader.driver.publishLeaderInformation("dispatcher", LeaderInformation.known(session, "dispatcher's address"));
    }

    @AfterEach
    void stop() throws Exception {
        leader.close();
        sidecar.close();
    }

    private LeaderDirectory directory(String url) {
        SidecarClient client = new SidecarClient(URI.create(url), 1_000);
        return new LeaderDirectory(() -> client, 1_000);
    }

    private LeaderRetrievalDriver retrieve(LeaderDirectory directory, String component, List<LeaderInformation> told) {
        return directory.retrieve(component, told::add, fatal::add);
    }

    // from KubernetesLeaderElectionAndRetrievalITCase#testLeaderElectionAndRetrieval
    @Test
    void tellsWhatIsPublishedChangedAndWithdrawn() throws Exception {
        List<LeaderInformation> told = new CopyOnWriteArrayList<>();
        LeaderRetrievalDriver driver = retrieve(directory(sidecar.publicUrl()), "dispatcher", told);
        Await.until("told", () -> last(told).equals(LeaderInformation.known(session, "dispatcher's address")));
        leader.driver.publishLeaderInformation("dispatcher", LeaderInformation.known(session, "another address"));
        Await.until("told", () -> last(told).equals(LeaderInformation.known(session, "another address")));
        leader.driver.deleteLeaderInformation("dispatcher");
        Await.until("told", () -> last(told).isEmpty());
        driver.close();
        assertEquals(List.of(), fatal);
    }

    /** A sidecar that started half a minute ago, and beside which no JobManager has led since. */
    @Test
    void aMapThatNobodyPublishedIsOlderThanAny() throws Exception {
        String nobodys = "{\"event\":\"leaders\",\"epoch\":null,\"leaders\":{}}";
        LeaderMap map = LeaderMap.parse(new ObjectMapper().readTree(nobodys));
        assertEquals(0, map.epoch);
        assertTrue(map.of("dispatcher").isEmpty());
        String broken = "{\"event\":\"leaders\",\"leaders\":{}}";
        assertThrows(IOException.class, () -> LeaderMap.parse(new ObjectMapper().readTree(broken)));
    }

    /** Trap 3: DefaultLeaderRetrievalService#start ignores what arrives on its own thread. */
    @Test
    void flinksServiceHearsOfALeaderThatWasThereBefore() throws Exception {
        LeaderDirectory directory = directory(sidecar.publicUrl());
        for (int i = 0; i < 3; i++) {
            List<String> addresses = new CopyOnWriteArrayList<>();
            LeaderRetrievalService service = BaseHaServices.retrieval(directory, "dispatcher");
            service.start(
                    new LeaderRetrievalListener() {
                        @Override
                        public void notifyLeaderAddress(String address, UUID leaderSessionId) {
                            addresses.add(String.valueOf(address));
                        }

                        @Override
                        public void handleError(Exception exception) {
                            fatal.add(exception);
                        }
                    });
            // The second and the third find the stream open and the leader known.
            Await.until("told", () -> addresses.equals(List.of("dispatcher's address")));
            if (i == 2) {
                service.stop();
            }
        }
        assertEquals(List.of(), fatal);
    }

    @Test
    void neverTellsOnTheThreadThatAsks() throws Exception {
        LeaderDirectory directory = directory(sidecar.publicUrl());
        List<Thread> threads = new CopyOnWriteArrayList<>();
        for (int i = 0; i < 3; i++) {
            int before = threads.size();
            directory.retrieve("dispatcher", information -> threads.add(Thread.currentThread()), fatal::add);
            Await.until("told", () -> threads.size() > before);
        }
        assertTrue(threads.stream().noneMatch(thread -> thread == Thread.currentThread()));
    }

    @Test
    void allComponentsShareOneStreamWhichEndsWithTheLast() throws Exception {
        try (FaultProxy proxy = new FaultProxy(sidecar)) {
            LeaderDirectory directory = directory(proxy.url());
            List<LeaderInformation> dispatcher = new CopyOnWriteArrayList<>();
            List<LeaderInformation> other = new CopyOnWriteArrayList<>();
            LeaderRetrievalDriver first = retrieve(directory, "dispatcher", dispatcher);
            LeaderRetrievalDriver second = retrieve(directory, "job-unknown", other);
            Await.until("told", () -> !last(dispatcher).isEmpty());
            Await.until("told that there is none", () -> !other.isEmpty() && last(other).isEmpty());
            assertEquals(1, proxy.seen.size());
            first.close();
            leader.driver.publishLeaderInformation("job-unknown", LeaderInformation.known(session, "job"));
            Await.until("told", () -> !last(other).isEmpty());
            second.close();
            retrieve(directory, "dispatcher", dispatcher);
            Await.until("a new stream", () -> proxy.seen.size() == 2);
        }
    }

    /** A broken stream is not a lost leader: TaskManagers fail all tasks when they are told that. */
    @Test
    void keepsWhatItKnowsWhileTheSidecarIsAway() throws Exception {
        List<LeaderInformation> told = new CopyOnWriteArrayList<>();
        LeaderDirectory directory = directory(sidecar.publicUrl());
        retrieve(directory, "dispatcher", told);
        Await.until("told", () -> !last(told).isEmpty());
        sidecar.kill();
        List<LeaderInformation> toldLater = new CopyOnWriteArrayList<>();
        retrieve(directory, "dispatcher", toldLater);
        Await.until("told from memory", () -> !last(toldLater).isEmpty());
        sidecar.start();
        leader.driver.publishLeaderInformation("dispatcher", LeaderInformation.known(session, "after the restart"));
        Await.until("told", () -> "after the restart".equals(last(told).getLeaderAddress()));
        assertTrue(told.stream().noneMatch(LeaderInformation::isEmpty), told.toString());
        assertEquals(List.of(), fatal);
    }

    @Test
    void waitsForASidecarThatIsNotThere() throws Exception {
        try (Sidecar late = Sidecar.fresh()) {
            List<LeaderInformation> told = new CopyOnWriteArrayList<>();
            retrieve(directory(late.publicUrl()), "dispatcher", told);
            late.start();
            try (Leader lateLeader = Leader.granted(late)) {
                LeaderInformation known = LeaderInformation.known(lateLeader.listener.grants.get(0), "late");
                lateLeader.driver.publishLeaderInformation("dispatcher", known);
                Await.until("told", () -> last(told).equals(known));
            }
            assertEquals(List.of(), fatal);
        }
    }

    private static LeaderInformation last(List<LeaderInformation> told) {
        return told.isEmpty() ? LeaderInformation.empty() : told.get(told.size() - 1);
    }
}
