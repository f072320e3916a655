/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.configuration.Configuration;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The stored graphs that Flink was handed under the newest leadership of this process, and is going to run. This is how
 * {@link HoldfastMain} learns it, which Flink calls in the same JVM after the recovery: a second connection would have no
 * session, and what is stored is not always what Flink took.
 *
 * <p>Flink asks for a new store of graphs at every leadership, before it recovers ({@code
 * SessionDispatcherLeaderProcessFactory.create} of 1.20.5, 2.2.1 and 2.3.0, also in application mode); with it begins a
 * new one of these. So a leadership that was lost and granted again starts empty, and is filled by its own recovery.
 */
final class RecoveredGraphs {

    /** Runs a job that was recovered, where Flink waits for {@code main()} to do that. */
    interface Starter {
        void start(String jobName) throws Exception;
    }

    private static volatile RecoveredGraphs newest;

    /** What the services were made with; not what Flink adds to it later. */
    final Configuration configuration;
    private final Starter starter;
    private final Map<String, String> nameOfJob = new ConcurrentHashMap<>();

    private RecoveredGraphs(Configuration configuration, Starter starter) {
        this.configuration = configuration;
        this.starter = starter;
    }

    static RecoveredGraphs begin(Configuration configuration, Starter starter) {
        RecoveredGraphs begun = new RecoveredGraphs(configuration, starter);
        newest = begun;
        return begun;
    }

    /** Null when no Holdfast services of this process were asked for a store of graphs. */
    static RecoveredGraphs newest() {
        return newest;
    }

    /** After the services were closed. */
    void end() {
        if (newest == this) {
            newest = null;
        }
    }

    void handed(String job, String jobName) {
        nameOfJob.put(job, jobName);
    }

    void removed(String job) {
        nameOfJob.remove(job);
    }

    /** Job ids and the names that the jobs have in their graphs. */
    Map<String, String> jobs() {
        return Map.copyOf(nameOfJob);
    }

    void start(String jobName) throws Exception {
        starter.start(jobName);
    }
}
