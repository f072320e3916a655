/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.runtime.leaderelection.DefaultLeaderElectionService;
import org.apache.flink.runtime.leaderelection.LeaderContender;
import org.apache.flink.runtime.leaderelection.LeaderElection;
import org.apache.flink.runtime.leaderelection.LeaderInformation;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.net.URI;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Scenarios of KubernetesLeaderElectionDriverTest, ZooKeeperLeaderElectionTest and DefaultLeaderElectionServiceTest. */
class ElectionDriverTest {

    private static final String OPENING = "POST /v1/sessions HTTP/1.1";

    private Sidecar sidecar;
    private final LeadershipEpoch epoch = new LeadershipEpoch();
    private final String process = UUID.randomUUID().toString();

    @BeforeEach
    void startSidecar() throws Exception {
        sidecar = Sidecar.started();
    }

    @AfterEach
    void stopSidecar() throws Exception {
        sidecar.close();
    }

    private HoldfastElectionDriver driver(String processToken, RecordingListener listener) {
        return new HoldfastElectionDriver(sidecar.client(), sidecar.config(), processToken, epoch, listener);
    }

    // from ZooKeeperLeaderElectionTest#testLeaderShouldBeCorrectlyCleanedUp and KubernetesLeaderElectionDriverTest#testIsLeader
    @Test
    void isGrantedAndPublishesItsAddresses() throws Exception {
        RecordingListener listener = new RecordingListener();
        HoldfastElectionDriver driver = driver(process, listener);
        Await.until("granted", listener::isGranted);
        assertTrue(driver.hasLeadership());
        assertTrue(epoch.newest() > 0);

        UUID session = listener.grants.get(0);
        driver.publishLeaderInformation("dispatcher", LeaderInformation.known(session, "pekko://dispatcher"));
        driver.publishLeaderInformation("restserver", LeaderInformation.known(session, "http://rest"));
        Await.until("published", () -> addressOf("dispatcher").equals("pekko://dispatcher"));
        Await.until("published", () -> addressOf("restserver").equals("http://rest"));

        driver.deleteLeaderInformation("dispatcher");
        Await.until("withdrawn", () -> addressOf("dispatcher").isEmpty());
        assertEquals("http://rest", addressOf("restserver"));
        driver.close();
        assertFalse(driver.hasLeadership());
        assertEquals(0, listener.revocations(), "close() must not call the listener");
        assertEquals(0, listener.errors.size(), listener.errors.toString());
    }

    // from KubernetesLeaderElectionDriverTest#testPublishLeaderInformation (not the leader)
    @Test
    void publishesNothingWithoutLeadership() throws Exception {
        RecordingListener first = new RecordingListener();
        HoldfastElectionDriver leader = driver("first", first);
        Await.until("granted", first::isGranted);
        leader.publishLeaderInformation("dispatcher", LeaderInformation.known(first.grants.get(0), "first"));
        Await.until("published", () -> addressOf("dispatcher").equals("first"));

        RecordingListener second = new RecordingListener();
        HoldfastElectionDriver standby = driver("second", second);
        standby.publishLeaderInformation("dispatcher", LeaderInformation.known(UUID.randomUUID(), "second"));
        leader.publishLeaderInformation("restserver", LeaderInformation.known(first.grants.get(0), "rest"));
        Await.until("published", () -> addressOf("restserver").equals("rest"));
        assertEquals("first", addressOf("dispatcher"));
        assertFalse(standby.hasLeadership());

        leader.close();
        Await.until("the standby leads", second::isGranted);
        assertTrue(standby.hasLeadership());
        assertNotEquals(first.grants.get(0), second.grants.get(0));
        standby.close();
    }

    // from DefaultLeaderElectionServiceTest#testMultipleDriverCreations
    @Test
    void aProcessMayOpenASecondDriverAfterTheFirst() throws Exception {
        RecordingListener first = new RecordingListener();
        HoldfastElectionDriver driver = driver(process, first);
        Await.until("granted", first::isGranted);
        long firstEpoch = epoch.newest();
        driver.close();

        RecordingListener second = new RecordingListener();
        HoldfastElectionDriver again = driver(process, second);
        Await.until("granted again", second::isGranted);
        assertTrue(epoch.newest() > firstEpoch, "a new leadership has a new epoch");
        assertNotEquals(first.grants.get(0), second.grants.get(0), "and a new session id");
        again.close();
    }

    @Test
    void waitsForASidecarThatIsNotUpYet() throws Exception {
        try (Sidecar late = Sidecar.fresh()) {
            RecordingListener listener = new RecordingListener();
            HoldfastElectionDriver driver =
                    new HoldfastElectionDriver(late.client(), late.config(), process, epoch, listener);
            assertFalse(driver.hasLeadership());
            late.start();
            Await.until("granted", listener::isGranted);
            driver.close();
        }
    }

    /** A restart of the sidecar must not restart the job. */
    @Test
    void goesOnWhenTheSidecarIsKilledAndComesBack() throws Exception {
        RecordingListener listener = new RecordingListener();
        HoldfastElectionDriver driver = driver(process, listener);
        Await.until("granted", listener::isGranted);
        long before = epoch.newest();
        driver.publishLeaderInformation("dispatcher", LeaderInformation.known(listener.grants.get(0), "address"));
        Await.until("published", () -> addressOf("dispatcher").equals("address"));

        sidecar.kill();
        driver.publishLeaderInformation("restserver", LeaderInformation.known(listener.grants.get(0), "rest"));
        assertTrue(driver.hasLeadership());
        sidecar.start();
        // It keeps addresses in memory only: both are published again, the one of meanwhile for the first time.
        Await.until("published again", () -> addressOf("dispatcher").equals("address"));
        Await.until("published", () -> addressOf("restserver").equals("rest"));
        assertTrue(driver.hasLeadership());
        assertEquals(before, epoch.newest());
        assertEquals(1, listener.grants.size());
        assertEquals(0, listener.revocations());
        driver.close();
    }

    // from ZooKeeperLeaderElectionTest#testZooKeeperReelection and #testLeaderElectionAndRetrieval
    @Test
    void isRevokedWhenAnotherSidecarClaimsANewerEpoch() throws Exception {
        RecordingListener listener = new RecordingListener();
        HoldfastElectionDriver driver = driver(process, listener);
        Await.until("granted", listener::isGranted);

        try (Sidecar other = sidecar.successor().start()) {
            RecordingListener successor = new RecordingListener();
            HoldfastElectionDriver next =
                    new HoldfastElectionDriver(
                            other.client(), other.config(), "other", new LeadershipEpoch(), successor);
            Await.until("the successor leads", successor::isGranted);
            Await.until("the first is revoked", () -> listener.revocations() == 1);
            next.close();
        }
        driver.close();
        assertEquals(0, listener.errors.size(), listener.errors.toString());
    }

    /** A half-open connection: the sidecar thinks that it is there, and nothing arrives. Takes 10 s. */
    @Test
    void noticesAConnectionThatFellSilent() throws Exception {
        try (FaultProxy proxy = new FaultProxy(sidecar)) {
            proxy.onRequests(
                    "POST /v1/sessions",
                    request -> request == 1 ? FaultProxy.Fault.SILENCE_AFTER_GRANT : FaultProxy.Fault.NONE);
            RecordingListener listener = new RecordingListener();
            HoldfastElectionDriver driver =
                    new HoldfastElectionDriver(
                            new SidecarClient(URI.create(proxy.url()), 1_000),
                            AdapterConfig.from(Sidecar.configuration(proxy.url())),
                            process,
                            epoch,
                            listener);
            Await.until("granted", listener::isGranted);
            long before = epoch.newest();
            Await.until("a second connection", () -> proxy.seen.stream().filter(OPENING::equals).count() == 2);
            driver.publishLeaderInformation("dispatcher", LeaderInformation.known(listener.grants.get(0), "address"));
            Await.until("published", () -> addressOf("dispatcher").equals("address"));
            assertTrue(driver.hasLeadership());
            assertEquals(before, epoch.newest());
            assertEquals(1, listener.grants.size());
            driver.close();
        }
    }

    @Test
    void closesInTimeWithTheSidecarDown() throws Exception {
        RecordingListener listener = new RecordingListener();
        HoldfastElectionDriver driver = driver(process, listener);
        Await.until("granted", listener::isGranted);
        sidecar.kill();
        long startNs = System.nanoTime();
        driver.close();
        assertTrue(System.nanoTime() - startNs < TimeUnit.SECONDS.toNanos(7));
        assertEquals(0, listener.revocations());
    }

    // from LeaderElectionTest#testHasLeadership, through Flink's own service
    @Test
    void aContenderOfFlinksServiceIsGrantedAndConfirms() throws Exception {
        DefaultLeaderElectionService service =
                new DefaultLeaderElectionService(
                        listener ->
                                new HoldfastElectionDriver(
                                        sidecar.client(), sidecar.config(), process, epoch, listener));
        LeaderElection election = service.createLeaderElection("dispatcher");
        CompletableFuture<UUID> granted = new CompletableFuture<>();
        CompletableFuture<Void> failed = new CompletableFuture<>();
        election.startLeaderElection(
                new LeaderContender() {
                    @Override
                    public void grantLeadership(UUID leaderSessionId) {
                        granted.complete(leaderSessionId);
                    }

                    @Override
                    public void revokeLeadership() {}

                    @Override
                    public void handleError(Exception exception) {
                        failed.completeExceptionally(exception);
                    }
                });
        UUID session = granted.get(20, TimeUnit.SECONDS);
        election.confirmLeadershipAsync(session, "the address").get(20, TimeUnit.SECONDS);
        Await.until("published", () -> addressOf("dispatcher").equals("the address"));
        assertTrue(election.hasLeadershipAsync(session).get(20, TimeUnit.SECONDS));
        election.close();
        service.close();
        assertFalse(failed.isDone());
    }

    private String addressOf(String component) throws Exception {
        JsonNode leaders = sidecar.leaders();
        return leaders == null ? "" : leaders.path(component).path("address").asText();
    }
}
