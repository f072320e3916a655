/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.core.execution.SavepointFormatType;
import org.apache.flink.runtime.execution.ExecutionState;
import org.apache.flink.runtime.executiongraph.AccessExecutionGraph;
import org.apache.flink.runtime.executiongraph.AccessExecutionVertex;
import org.apache.flink.runtime.jobgraph.JobGraph;
import org.apache.flink.runtime.jobgraph.SavepointRestoreSettings;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.runtime.minicluster.RpcServiceSharing;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.FileUtils;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;

/**
 * What a JobManager does while it waits for leadership: it recovers a small job inside its own process, several times. Most
 * of what a waiting JobManager needs after its grant is the first use of code: classes to link, lambdas to make, methods that
 * are interpreted until they are compiled. A rehearsal has that behind it.
 *
 * <p>It is Flink's own MiniCluster of one slot, with a configuration of its own: nothing of the deployment's is in it, no
 * high-availability services, no reporters, no storage. It must never reach beyond this process: it writes into a temporary
 * directory only, listens on loopback only, ends when this process is granted leadership, and when it fails, that is a line
 * in the log.
 *
 * <p>{@code holdfast exec} asks for it with a system property; a JobManager without it never rehearses.
 */
final class Rehearsal {

    static final String PROPERTY = "holdfast.rehearse";

    private static final Logger LOG = LoggerFactory.getLogger(Rehearsal.class);
    private static final String NAME = "holdfast-rehearsal";
    /** The one of this process, once it has begun: there is never another. */
    private static final AtomicReference<Thread> BEGUN = new AtomicReference<>();
    /** One that is granted at once has better things to do. */
    private static final long WAITING_MS = 2_000;
    /** Of a job's start and of its end, on a machine that does other things as well. */
    private static final long LIMIT_MS = 60_000;
    private static final long LOOK_MS = 10;
    /** The first takes a second, the fourth a quarter of that and the fifth no less. */
    private static final int RECOVERIES = 5;
    /** There is a coordinator of checkpoints; it takes what it is asked for. */
    private static final long CHECKPOINT_INTERVAL_MS = TimeUnit.DAYS.toMillis(1);

    private Rehearsal() {}

    /** To be called when this process is told to wait. Returns at once; only the first call does anything. */
    static void onWaiting(BooleanSupplier stillWaiting) {
        if (!Boolean.getBoolean(PROPERTY) || BEGUN.get() != null) {
            return;
        }
        Thread thread = Threads.daemon(NAME, () -> begin(stillWaiting));
        if (BEGUN.compareAndSet(null, thread)) {
            thread.start();
        }
    }

    /** To be called when this process is granted leadership: the processor is for the job now. Returns at once. */
    static void end() {
        Thread thread = BEGUN.get();
        if (thread != null) {
            thread.interrupt();
        }
    }

    private static void begin(BooleanSupplier stillWaiting) {
        try {
            Thread.sleep(WAITING_MS);
            if (stillWaiting.getAsBoolean()) {
                run(stillWaiting);
            }
        } catch (Exception | LinkageError e) {
            if (stillWaiting.getAsBoolean()) {
                LOG.warn("The rehearsal failed. This JobManager waits on; its failover will take longer", e);
            } else {
                LOG.info("The rehearsal ended early: this JobManager was granted leadership");
            }
        }
    }

    /** Visible for tests. */
    static void run(BooleanSupplier stillWaiting) throws Exception {
        LOG.info("Rehearsing: until it is over, lines about the job {} are of a small one that runs inside this process", NAME);
        long beganNs = System.nanoTime();
        // Functions and serializers of the job are looked for with it.
        Thread.currentThread().setContextClassLoader(Rehearsal.class.getClassLoader());
        Path directory = Files.createTempDirectory(NAME);
        try (MiniCluster cluster = cluster(directory)) {
            cluster.start();
            String savepoint = null;
            for (int done = 0; done < RECOVERIES && stillWaiting.getAsBoolean(); done++) {
                savepoint = recover(cluster, savepoint, directory);
            }
        } finally {
            FileUtils.deleteDirectory(directory.toFile());
        }
        LOG.info("The rehearsal is over after {} ms", TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - beganNs));
    }

    /** Runs the job from a savepoint, or from nothing, and stops it with the next savepoint, which it returns. */
    private static String recover(MiniCluster cluster, String savepoint, Path directory) throws Exception {
        JobGraph graph = graph(savepoint);
        JobID job = graph.getJobID();
        cluster.runDetached(graph);
        awaitRunning(cluster, job);
        cluster.triggerCheckpoint(job).get(LIMIT_MS, TimeUnit.MILLISECONDS);
        String stopped =
                cluster.stopWithSavepoint(job, directory.toUri().toString(), false, SavepointFormatType.CANONICAL)
                        .get(LIMIT_MS, TimeUnit.MILLISECONDS);
        cluster.requestJobResult(job).get(LIMIT_MS, TimeUnit.MILLISECONDS);
        return stopped;
    }

    private static JobGraph graph(String savepoint) {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1);
        env.enableCheckpointing(CHECKPOINT_INTERVAL_MS);
        TrainingJob.build(env);
        JobGraph graph = env.getStreamGraph().getJobGraph();
        if (savepoint != null) {
            graph.setSavepointRestoreSettings(SavepointRestoreSettings.forPath(savepoint));
        }
        return graph;
    }

    private static void awaitRunning(MiniCluster cluster, JobID job) throws Exception {
        long beganNs = System.nanoTime();
        while (!allTasksRun(cluster, job)) {
            if (System.nanoTime() - beganNs > TimeUnit.MILLISECONDS.toNanos(LIMIT_MS)) {
                throw new TimeoutException("the job did not run after " + LIMIT_MS + " ms");
            }
            Thread.sleep(LOOK_MS);
        }
    }

    private static boolean allTasksRun(MiniCluster cluster, JobID job) throws Exception {
        AccessExecutionGraph graph = cluster.getExecutionGraph(job).get(LIMIT_MS, TimeUnit.MILLISECONDS);
        if (graph.getState().isGloballyTerminalState()) {
            throw new IllegalStateException("the job became " + graph.getState());
        }
        if (graph.getState() != JobStatus.RUNNING) {
            return false; // while it is being made it has no tasks
        }
        for (AccessExecutionVertex vertex : graph.getAllExecutionVertices()) {
            if (vertex.getExecutionState() != ExecutionState.RUNNING) {
                return false;
            }
        }
        return true;
    }

    private static MiniCluster cluster(Path directory) {
        return new MiniCluster(
                new MiniClusterConfiguration.Builder()
                        .setConfiguration(configuration(directory))
                        .setNumTaskManagers(1)
                        .setNumSlotsPerTaskManager(1)
                        // As between processes: what is sent is serialized.
                        .setRpcServiceSharing(RpcServiceSharing.DEDICATED)
                        .withRandomPorts()
                        .build());
    }

    private static Configuration configuration(Path directory) {
        Map<String, String> own = new HashMap<>();
        for (String host : List.of("jobmanager.bind-host", "taskmanager.bind-host", "rest.address", "rest.bind-address")) {
            own.put(host, "127.0.0.1");
        }
        own.put("io.tmp.dirs", directory.toString());
        own.put("taskmanager.memory.managed.size", "1m");
        own.put("taskmanager.memory.network.min", "2m");
        own.put("taskmanager.memory.network.max", "2m");
        own.put("restart-strategy.type", "none");
        // An error in its actors must not end this process.
        own.put("pekko.jvm-exit-on-fatal-error", "false");
        // It would ask the storages and databases on the class path for tokens.
        own.put("security.delegation.tokens.enabled", "false");
        Configuration configuration = Configuration.fromMap(own);
        // A MiniCluster makes its own values of these two those of the process (FileOutputFormat).
        Configuration ofTheProcess = GlobalConfiguration.loadConfiguration();
        for (ConfigOption<Boolean> shared :
                List.of(CoreOptions.FILESYTEM_DEFAULT_OVERRIDE, CoreOptions.FILESYSTEM_OUTPUT_ALWAYS_CREATE_DIRECTORY)) {
            configuration.set(shared, ofTheProcess.get(shared));
        }
        return configuration;
    }
}