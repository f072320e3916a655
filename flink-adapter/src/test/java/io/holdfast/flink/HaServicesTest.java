/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.api.common.JobID;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.apache.flink.configuration.IllegalConfigurationException;
import org.apache.flink.runtime.highavailability.ClientHighAvailabilityServices;
import org.apache.flink.runtime.highavailability.HighAvailabilityServices;
import org.apache.flink.runtime.highavailability.HighAvailabilityServicesUtils;
import org.apache.flink.runtime.leaderelection.LeaderInformation;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalListener;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalService;

import org.junit.jupiter.api.Test;

import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CopyOnWriteArrayList;

/** The services as Flink loads them, in this version of it. */
class HaServicesTest {

    private static HighAvailabilityServices services(Configuration configuration) throws Exception {
        return new HoldfastHaServicesFactory().createHAServices(configuration, Runnable::run);
    }

    @Test
    void loadsTheClassOfThisGeneration() throws Exception {
        try (HighAvailabilityServices services = services(new Configuration())) {
            assertEquals(Generation.HA_SERVICES, services.getClass().getName());
        }
    }

    /** The JVM would notice only when Flink calls it. */
    @Test
    void implementsEveryMethodThatFlinkDemands() throws Exception {
        Class<?> implementation = Class.forName(Generation.HA_SERVICES);
        for (Method method : HighAvailabilityServices.class.getMethods()) {
            Method found = implementation.getMethod(method.getName(), method.getParameterTypes());
            boolean isAbstract = Modifier.isAbstract(found.getModifiers());
            assertFalse(isAbstract, method.toString());
        }
    }

    /** TaskManagers and clients load it as well, and there is no sidecar beside them. */
    @Test
    void canBeMadeAndClosedWithoutASidecar() throws Exception {
        Configuration nowhere = Sidecar.configuration("http://127.0.0.1:" + Sidecar.freePort());
        HighAvailabilityServices services = services(nowhere);
        assertNotNull(services.getResourceManagerLeaderRetriever());
        assertNotNull(services.getJobManagerLeaderRetriever(new JobID(), "unused"));
        services.close();
        new HoldfastHaServicesFactory().createClientHAServices(nowhere).close();
    }

    @Test
    void isLoadedByFlinkUnderItsName() throws Exception {
        Configuration configuration = new Configuration();
        configuration.setString("high-availability.type", HoldfastHaServicesFactory.class.getName());
        configuration.setString("rest.address", "127.0.0.1");
        ClientHighAvailabilityServices client =
                HighAvailabilityServicesUtils.createClientHAService(configuration, failure -> {});
        assertEquals(HoldfastClientHaServices.class, client.getClass());
        client.close();
    }

    @Test
    void saysWhichDirectoryIsMissing() throws Exception {
        try (HighAvailabilityServices services = services(new Configuration())) {
            IllegalConfigurationException refused =
                    assertThrows(IllegalConfigurationException.class, services::createBlobStore);
            assertTrue(refused.getMessage().contains("high-availability.storageDir"), refused.getMessage());
        }
    }

    @Test
    void keepsBlobsInTheStorageDirectory() throws Exception {
        Path storage = Files.createTempDirectory("holdfast-blobs-");
        Configuration configuration = new Configuration();
        configuration.setString("high-availability.type", HoldfastHaServicesFactory.class.getName());
        configuration.set(HighAvailabilityOptions.HA_STORAGE_PATH, storage.toUri().toString());
        try (HighAvailabilityServices services = services(configuration)) {
            assertEquals("FileSystemBlobStore", services.createBlobStore().getClass().getSimpleName());
        }
        Files.delete(storage);
    }

    @Test
    void cleansUpOneJobAndThenEverything() throws Exception {
        try (Sidecar sidecar = Sidecar.started();
                Leader leader = Leader.granted(sidecar)) {
            Configuration configuration = sidecar.configuration();
            configuration.setString("high-availability.type", HoldfastHaServicesFactory.class.getName());
            configuration.set(
                    HighAvailabilityOptions.HA_STORAGE_PATH, sidecar.directory.resolve("blobs").toUri().toString());
            BaseHaServices services = (BaseHaServices) services(configuration);
            services.epoch.granted(leader.epoch.newest());
            GraphStore<String> graphs = TestGraphs.store(leader.calls, leader.epoch.captured());
            JobID first = new JobID();
            JobID second = new JobID();
            graphs.addAndLock(first.toString(), "graph");
            graphs.addAndLock(second.toString(), "graph");
            services.globalCleanupAsync(first, Runnable::run).get();
            services.globalCleanupAsync(new JobID(), Runnable::run).get();
            assertEquals(List.of(second.toString()), graphs.getAllHandles());
            services.closeWithOptionalClean(true);
            assertEquals(List.of(), graphs.getAllHandles());
        }
    }

    /** cleanupAllData comes after the leadership was given up: refused, the blobs are not this process's to delete. */
    @Test
    void aDeposedProcessCleansUpNothing() throws Exception {
        try (Sidecar sidecar = Sidecar.started()) {
            long older;
            try (Leader first = Leader.granted(sidecar)) {
                older = first.epoch.newest();
            }
            try (Leader second = Leader.granted(sidecar)) {
                Path blob = sidecar.directory.resolve("blobs/default/blob/a-jar");
                Files.createDirectories(blob.getParent());
                Files.createFile(blob);
                Configuration configuration = sidecar.configuration();
                configuration.set(
                        HighAvailabilityOptions.HA_STORAGE_PATH, sidecar.directory.resolve("blobs").toUri().toString());
                BaseHaServices services = (BaseHaServices) services(configuration);
                services.epoch.granted(older);
                assertThrows(SidecarException.class, services::cleanupAllData);
                services.close();
                assertTrue(Files.exists(blob));
                assertTrue(second.driver.hasLeadership());
            }
        }
    }

    @Test
    void aClientFindsTheRestEndpoint() throws Exception {
        try (Sidecar sidecar = Sidecar.started();
                Leader leader = Leader.granted(sidecar)) {
            leader.driver.publishLeaderInformation(
                    "restserver", LeaderInformation.known(leader.listener.grants.get(0), "http://rest:8081"));
            Configuration configuration = new Configuration();
            configuration.set(HoldfastOptions.LEADERS_URL, sidecar.publicUrl());
            ClientHighAvailabilityServices client =
                    new HoldfastHaServicesFactory().createClientHAServices(configuration);
            List<String> addresses = new CopyOnWriteArrayList<>();
            LeaderRetrievalService retrieval = client.getClusterRestEndpointLeaderRetriever();
            retrieval.start(
                    new LeaderRetrievalListener() {
                        @Override
                        public void notifyLeaderAddress(String address, UUID leaderSessionId) {
                            addresses.add(String.valueOf(address));
                        }

                        @Override
                        public void handleError(Exception exception) {
                            addresses.add(exception.toString());
                        }
                    });
            Await.until("told", () -> addresses.contains("http://rest:8081"));
            retrieval.stop();
            client.close();
        }
    }
}
