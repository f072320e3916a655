/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BooleanSupplier;

/**
 * What a JobManager does while it waits for leadership: it runs a small job from submission to its end inside its own
 * process, once. Most of what a waiting JobManager needs after its grant is the first use of code: classes to link, lambdas
 * to make, methods that are interpreted until they are compiled. A rehearsal has that behind it.
 *
 * <p>It is Flink's own local execution (a MiniCluster of one slot), with a configuration of its own: nothing of the
 * deployment's is in it, no high-availability services, no reporters, no storage. It must never reach beyond this process:
 * it writes into a temporary directory only, listens on loopback only, and when it fails, that is a line in the log.
 *
 * <p>{@code holdfast exec} asks for it with a system property; a JobManager without it never rehearses.
 */
final class Rehearsal {

    static final String PROPERTY = "holdfast.rehearse";

    private static final Logger LOG = LoggerFactory.getLogger(Rehearsal.class);
    private static final String NAME = "holdfast-rehearsal";
    private static final AtomicBoolean BEGUN = new AtomicBoolean();
    /** One that is granted at once has better things to do. */
    private static final long WAITING_MS = 2_000;
    private static final long LIMIT_MS = 60_000;
    /** As many as keep the tasks running for a second. */
    private static final long RECORDS = (long) TrainingJob.RECORDS_PER_SECOND;
    /** There is a coordinator of checkpoints, and none is taken. */
    private static final long CHECKPOINT_INTERVAL_MS = TimeUnit.DAYS.toMillis(1);

    private Rehearsal() {}

    /** To be called when this process is told to wait. Returns at once; only the first call does anything. */
    static void onWaiting(BooleanSupplier stillWaiting) {
        if (Boolean.getBoolean(PROPERTY) && BEGUN.compareAndSet(false, true)) {
            Threads.daemon(NAME, () -> begin(stillWaiting)).start();
        }
    }

    private static void begin(BooleanSupplier stillWaiting) {
        try {
            Thread.sleep(WAITING_MS);
            if (stillWaiting.getAsBoolean()) {
                run();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (Exception | LinkageError e) {
            LOG.warn("The rehearsal failed. This JobManager waits on; its failover will take longer", e);
        }
    }

    /** Visible for tests. */
    static void run() throws Exception {
        LOG.info("Rehearsing: until it is over, lines about the job {} are of a small one that runs inside this process", NAME);
        long beganNs = System.nanoTime();
        // The executors of jobs are looked for with it.
        Thread.currentThread().setContextClassLoader(Rehearsal.class.getClassLoader());
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, configuration());
        env.enableCheckpointing(CHECKPOINT_INTERVAL_MS);
        TrainingJob.build(env, RECORDS);
        JobClient job = env.executeAsync(NAME);
        try {
            job.getJobExecutionResult().get(LIMIT_MS, TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            job.cancel();
            throw e;
        }
        LOG.info("The rehearsal is over after {} ms", TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - beganNs));
    }

    private static Configuration configuration() {
        return Configuration.fromMap(
                Map.of(
                        "jobmanager.bind-host", "127.0.0.1",
                        "rest.address", "127.0.0.1",
                        "rest.bind-address", "127.0.0.1",
                        "rest.bind-port", "0",
                        "taskmanager.bind-host", "127.0.0.1",
                        "taskmanager.memory.managed.size", "1m",
                        "taskmanager.memory.network.min", "2m",
                        "taskmanager.memory.network.max", "2m",
                        // It would ask the storages and databases on the class path for tokens.
                        "security.delegation.tokens.enabled", "false",
                        // Tasks that end would wait for a checkpoint.
                        "execution.checkpointing.checkpoints-after-tasks-finish", "false"));
    }
}
