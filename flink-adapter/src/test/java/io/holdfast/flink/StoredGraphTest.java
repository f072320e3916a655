/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.persistence.StateHandleStore.NotExistException;
import org.apache.flink.runtime.util.EnvironmentInformation;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/** Which stored graphs are used: those that this process would make as well, and that it can read. */
class StoredGraphTest {

    private Sidecar sidecar;
    private Leader leader;
    private final JobID jobId = new JobID();
    private final String key = jobId.toString();

    @BeforeEach
    void start() throws Exception {
        sidecar = Sidecar.started();
        leader = Leader.granted(sidecar);
    }

    @AfterEach
    void stop() throws Exception {
        leader.close();
        sidecar.close();
    }

    private GraphStore<String> store(Fingerprint fingerprint) {
        return TestGraphs.store(leader.calls, leader.epoch.captured(), fingerprint);
    }

    private static Fingerprint fingerprint(String program, String jars) {
        return Fingerprint.of(Map.of("program", program, "jars", jars));
    }

    /** As a process with other means put it. */
    private void putGraph(byte[] bytes, String flinkVersion) throws Exception {
        leader.calls.addGraph(
                SidecarCall.write("PUT", "/v1/jobs/" + key + "/graph", leader.epoch.newest())
                        .bytes(bytes, "application/octet-stream")
                        .with("If-None-Match", "*")
                        .with("Flink-Version", flinkVersion));
    }

    private void addPointer() throws Exception {
        new PointerStore(jobId, leader.calls, null, leader.epoch.captured())
                .addAndLock(
                        CheckpointNames.INSTANCE.checkpointIDToName(3),
                        new TestCheckpoints(sidecar.directory).retained(jobId, 3));
    }

    private int pointers() throws Exception {
        return new PointerStore(jobId, leader.calls, null, leader.epoch.captured()).getAllHandles().size();
    }

    @Test
    void aGraphThatWasMadeFromTheSameIsUsed() throws Exception {
        store(fingerprint("a", "b")).addAndLock(key, "graph");
        assertEquals(List.of(key), store(fingerprint("a", "b")).getAllHandles());
    }

    @Test
    void aGraphThatWasMadeFromSomethingElseIsDroppedAndTheCheckpointsStay() throws Exception {
        addPointer();
        store(fingerprint("a", "b")).addAndLock(key, "graph");
        GraphStore<String> changed = store(fingerprint("a", "c"));
        assertEquals(List.of(), changed.getAllHandles());
        assertFalse(changed.exists(key).isExisting());
        assertEquals(1, pointers());
        changed.addAndLock(key, "what main() makes");
        assertEquals(List.of(key), changed.getAllHandles());
    }

    /** A graph without a fingerprint is older than fingerprints, or its maker could not find one out. */
    @Test
    void withoutAFingerprintTheFlinkVersionDecides() throws Exception {
        store(null).addAndLock(key, "graph");
        assertEquals(List.of(key), store(fingerprint("a", "b")).getAllHandles());
        assertEquals(List.of(key), store(null).getAllHandles());
        store(null).releaseAndTryRemove(key);
        putGraph(new byte[] {1}, "1.19.0");
        assertEquals(List.of(), store(fingerprint("a", "b")).getAllHandles());
        assertFalse(store(null).exists(key).isExisting());
    }

    /** An exception of another type would end this process, and the next, for ever. */
    @Test
    void aGraphThatCannotBeReadIsDroppedAndFlinkIsToldThatThereIsNone() throws Exception {
        addPointer();
        String thisFlink = EnvironmentInformation.getVersion();
        putGraph("not a graph".getBytes(StandardCharsets.UTF_8), thisFlink);
        GraphStore<String> store = store(null);
        assertEquals(List.of(key), store.getAllHandles());
        assertThrows(NotExistException.class, () -> store.getAndLock(key));
        assertFalse(store.exists(key).isExisting());
        assertEquals(1, pointers());
        store.addAndLock(key, "what main() makes");
    }

    /** With the stores and the services of this Flink, in the order of its SessionDispatcherLeaderProcess. */
    @Test
    void flinkRecoversNothingInsteadOfABrokenGraphAndStoresTheNextOne() throws Exception {
        putGraph("not a graph".getBytes(StandardCharsets.UTF_8), EnvironmentInformation.getVersion());
        try (BaseHaServices services = services(sidecar.configuration())) {
            assertEquals(List.of(), Generation.recoverGraphs(services));
            assertEquals(Map.of(), RecoveredGraphs.newest().jobs());
            Generation.put(services, new JobGraph(jobId, "orders"));
        }
        try (BaseHaServices services = services(sidecar.configuration())) {
            assertEquals(1, Generation.recoverGraphs(services).size());
            assertEquals(Map.of(key, "orders"), RecoveredGraphs.newest().jobs());
        }
    }

    /** SessionDispatcherLeaderProcessFactory of every version asks for a new store at every leadership. */
    @Test
    void aLeadershipThatIsGrantedAgainKnowsOnlyWhatItRecoveredItself() throws Exception {
        try (BaseHaServices services = services(sidecar.configuration())) {
            Generation.put(services, new JobGraph(jobId, "orders"));
            assertEquals(Map.of(), RecoveredGraphs.newest().jobs(), "main() has made it");
            Generation.recoverGraphs(services);
            assertEquals(Map.of(key, "orders"), RecoveredGraphs.newest().jobs());
            services.globalCleanupAsync(jobId, Runnable::run).get();
            Generation.recoverGraphs(services);
            assertEquals(Map.of(), RecoveredGraphs.newest().jobs());
        }
    }

    @Test
    void anotherConfigurationMakesAnotherGraph() throws Exception {
        Configuration before = sidecar.configuration();
        before.setString("parallelism.default", "2");
        try (BaseHaServices services = services(before)) {
            Generation.put(services, new JobGraph(jobId, "orders"));
        }
        try (BaseHaServices services = services(before)) {
            assertEquals(1, Generation.recoverGraphs(services).size());
        }
        Configuration after = sidecar.configuration();
        after.setString("parallelism.default", "4");
        try (BaseHaServices services = services(after)) {
            assertEquals(List.of(), Generation.recoverGraphs(services));
        }
        assertNull(RecoveredGraphs.newest(), "the services are closed");
    }

    private BaseHaServices services(Configuration configuration) throws Exception {
        BaseHaServices services =
                (BaseHaServices) new HoldfastHaServicesFactory().createHAServices(configuration, Runnable::run);
        services.epoch.granted(leader.epoch.newest());
        return services;
    }
}
