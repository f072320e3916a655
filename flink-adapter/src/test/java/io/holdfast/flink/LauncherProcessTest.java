/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.api.common.JobID;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.nio.file.Files;
import java.nio.file.Path;

/** {@link HoldfastMain} in real JobManager processes of this Flink: what a failover does when {@code main()} fails. */
class LauncherProcessTest {

    /** A JobManager starts within seconds; not on a machine that is busy with something else. */
    private static final long PROCESS_MS = 120_000;
    private static final String LAUNCHER = HoldfastMain.class.getName();
    private static final String PROGRAM = TestProgram.class.getName();

    private Sidecar sidecar;
    private Path broken;
    private Path calls;

    @BeforeEach
    void start() throws Exception {
        sidecar = Sidecar.started();
        broken = sidecar.directory.resolve("broken");
        calls = sidecar.directory.resolve("calls");
    }

    @AfterEach
    void stop() throws Exception {
        sidecar.close();
    }

    private JobManager launched() throws Exception {
        return JobManager.start(
                sidecar,
                "--job-classname",
                LAUNCHER,
                HoldfastMain.MAIN_CLASS_ARGUMENT,
                PROGRAM,
                sidecar.directory.toString());
    }

    private JobManager plain() throws Exception {
        return JobManager.start(sidecar, "--job-classname", PROGRAM, sidecar.directory.toString());
    }

    private long calls() throws Exception {
        return Files.exists(calls) ? Files.readAllLines(calls).size() : 0;
    }

    private static boolean runs(JobManager jobManager) {
        return jobManager.jobs().contains("\"name\":\"" + TestProgram.NAME + "\"");
    }

    private static void awaitRunning(JobManager jobManager) throws Exception {
        Await.until(
                "the job is known to the JobManager whose log is " + jobManager.log,
                PROCESS_MS,
                () -> {
                    if (!jobManager.isAlive()) {
                        throw new IllegalStateException("the JobManager ended:\n" + jobManager.logText());
                    }
                    return runs(jobManager);
                });
    }

    /** The id of the only stored graph; null when there is none. */
    private String storedGraph() throws Exception {
        try (Leader leader = Leader.granted(sidecar)) {
            SidecarCall list = SidecarCall.read("/v1/graphs", leader.epoch.newest());
            JsonNode graphs = leader.calls.needed(list).json().path("graphs");
            return graphs.size() == 0 ? null : graphs.get(0).path("job").asText();
        }
    }

    private void addPointer(String job) throws Exception {
        try (Leader leader = Leader.granted(sidecar)) {
            JobID jobId = JobID.fromHexString(job);
            new PointerStore(jobId, leader.calls, null, leader.epoch.captured())
                    .addAndLock(
                            CheckpointNames.INSTANCE.checkpointIDToName(5),
                            new TestCheckpoints(sidecar.directory).retained(jobId, 5));
        }
    }

    private int pointers(String job) throws Exception {
        try (Leader leader = Leader.granted(sidecar)) {
            return new PointerStore(JobID.fromHexString(job), leader.calls, null, leader.epoch.captured())
                    .getAllHandles()
                    .size();
        }
    }

    @Test
    void aFailoverRunsTheStoredGraphAndNotMain() throws Exception {
        try (JobManager first = launched()) {
            awaitRunning(first);
        }
        assertEquals(1, calls(), "the first start");
        String job = storedGraph();
        Files.createFile(broken);
        try (JobManager second = launched()) {
            awaitRunning(second);
            assertTrue(second.jobs().contains(job), second.jobs());
            assertTrue(second.logText().contains("is run from its stored graph, without main()"), second.logText());
        }
        assertEquals(1, calls(), "main() was called again");
        assertEquals(job, storedGraph());
    }

    /** What the launcher saves from, on the Flink that has the hazard; on the others the process just ends. */
    @Test
    void withoutTheLauncherAMainThatFailsOnFailoverEndsTheProcessAndOn23TheJob() throws Exception {
        try (JobManager first = plain()) {
            awaitRunning(first);
        }
        String job = storedGraph();
        addPointer(job);
        Files.createFile(broken);
        try (JobManager second = plain()) {
            Await.until("the process ended; its log is " + second.log, PROCESS_MS, () -> !second.isAlive());
        }
        boolean destroys = Generation.HA_SERVICES.endsWith("23");
        assertEquals(destroys ? null : job, storedGraph());
        assertEquals(destroys ? 0 : 1, pointers(job));
    }

    @Test
    void aGraphThatWasMadeFromOtherArgumentsIsNotUsed() throws Exception {
        try (JobManager first = launched()) {
            awaitRunning(first);
        }
        try (JobManager second =
                JobManager.start(
                        sidecar,
                        "--job-classname",
                        LAUNCHER,
                        HoldfastMain.MAIN_CLASS_ARGUMENT,
                        PROGRAM,
                        sidecar.directory.toString(),
                        "--one-more")) {
            awaitRunning(second);
            assertTrue(second.logText().contains("it was made from another program ("), second.logText());
        }
        assertEquals(2, calls());
    }
}
