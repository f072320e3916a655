/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.configuration.Configuration;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Finds out what a graph would be made from in this process: the Flink version, the job class and its arguments, the
 * contents of the user's jars, and the configuration that shapes a graph. Two processes of one rollout get the same; an
 * address, a port or a directory of this pod is never a part of it.
 */
final class FingerprintSource {

    private static final Logger LOG = LoggerFactory.getLogger(FingerprintSource.class);

    /** Keys with these beginnings go in. What the cluster reads when it runs a graph does not shape it. */
    private static final List<String> SHAPES_A_GRAPH =
            List.of("parallelism.default", "pipeline.", "execution.", "state.", "table.", "restart-strategy", "python.");
    /** And these keys, by which Flink gives a job its id. */
    private static final Set<String> NAMES_A_JOB =
            Set.of("high-availability.cluster-id", "cluster.id", "$internal.pipeline.job-id");
    /**
     * But not these: paths of jars (their contents are hashed), what a job is restored from (the plan's business), how an
     * application ends, and directories of a pod.
     */
    private static final List<String> LEFT_OUT =
            List.of(
                    "pipeline.jars",
                    "pipeline.classpaths",
                    "execution.savepoint.",
                    "execution.savepoint-restore-mode",
                    "execution.state-recovery.",
                    "execution.attached",
                    "execution.target",
                    "execution.shutdown-on-",
                    "execution.submit-failed-job-on-application-error",
                    "execution.terminate-application-on-any-job-exception",
                    "execution.checkpointing.local-backup.",
                    "state.backend.local-recovery",
                    "state.backend.rocksdb.localdir",
                    "state.backend.rocksdb.log.dir",
                    "state.backend.forst.local-dir",
                    "state.backend.forst.log.dir");
    private static final String PROGRAM_CLASS = "$internal.application.main";
    private static final String PROGRAM_ARGUMENTS = "$internal.application.program-args";

    private final Map<String, String> configuration;
    private final CommandLine commandLine;
    private final String flinkVersion;

    /** @param words the main class of the process and its arguments */
    FingerprintSource(Configuration configuration, List<String> words, String flinkVersion) {
        this.configuration = new TreeMap<>(configuration.toMap());
        this.commandLine = CommandLine.of(words, flinkVersion);
        this.flinkVersion = flinkVersion;
    }

    /** Null when it cannot be found out, which is logged: a graph is then judged by its Flink version alone. */
    Fingerprint find() {
        try {
            Map<String, String> parts = new LinkedHashMap<>();
            parts.put("flink", flinkVersion.replaceAll("[^!-+\\--<>-~]", "_"));
            parts.put("program", program());
            parts.put("jars", new UserJars(configuration, jobClasses()).hash());
            parts.put("configuration", shapingConfiguration());
            parts.put("given", new Sha256().text(configuration.getOrDefault(HoldfastOptions.FINGERPRINT.key(), "")).hex());
            return Fingerprint.of(parts);
        } catch (IOException e) {
            LOG.warn(
                    "It cannot be found out what this job is made from: {}. A stored graph is used if it was made by the"
                            + " same Flink version.",
                    e.toString());
            return null;
        }
    }

    private String program() {
        Sha256 hash = new Sha256();
        for (String key : List.of(PROGRAM_CLASS, PROGRAM_ARGUMENTS, HoldfastOptions.MAIN_CLASS.key())) {
            hash.text(configuration.getOrDefault(key, ""));
        }
        commandLine.program.forEach(hash::text);
        return hash.hex();
    }

    /** Every class that may be the job's; the jar that it comes from may lie in {@code lib/}. */
    private Set<String> jobClasses() {
        Set<String> classes = new LinkedHashSet<>();
        classes.add(configuration.getOrDefault(PROGRAM_CLASS, ""));
        classes.add(configuration.getOrDefault(HoldfastOptions.MAIN_CLASS.key(), ""));
        classes.add(commandLine.jobClass);
        int launched = commandLine.program.indexOf(HoldfastMain.MAIN_CLASS_ARGUMENT);
        if (launched >= 0 && launched + 1 < commandLine.program.size()) {
            classes.add(commandLine.program.get(launched + 1));
        }
        classes.remove("");
        return classes;
    }

    private String shapingConfiguration() {
        Sha256 hash = new Sha256();
        configuration.forEach(
                (key, value) -> {
                    if (shapesAGraph(key)) {
                        hash.text(key).text(value);
                    }
                });
        return hash.hex();
    }

    static boolean shapesAGraph(String key) {
        return NAMES_A_JOB.contains(key)
                || (SHAPES_A_GRAPH.stream().anyMatch(key::startsWith) && LEFT_OUT.stream().noneMatch(key::startsWith));
    }
}
