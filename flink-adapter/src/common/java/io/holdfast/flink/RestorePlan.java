/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.runtime.jobgraph.SavepointRestoreSettings;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;

/**
 * What the sidecar decided that the first job of this generation starts from. It is made before leadership is granted and
 * never changes within the generation, so that every process of it gets the same one.
 *
 * <p>It reaches Flink through the graph. A graph that is submitted is stored before it is run, and what runs is the very
 * object that was stored. Seen in the bytecode of 1.20.5, 2.2.1 and 2.3.0:
 *
 * <ol>
 *   <li>{@code Dispatcher.persistAndRunJob} calls {@code putJobGraph} (1.20) or {@code putExecutionPlan} (2.x), which calls
 *       {@code addAndLock} of our store with the same object, and then {@code createJobMasterRunner} with it;
 *   <li>{@code JobMasterServiceLeadershipRunnerFactory}, {@code DefaultJobMasterServiceFactory}, {@code JobMaster} and
 *       {@code DefaultSlotPoolServiceSchedulerFactory} pass it on without copying it;
 *   <li>2.x: {@code DefaultSchedulerFactory} and {@code AdaptiveSchedulerFactory} make the JobGraph of it there, after it
 *       was stored: {@code StreamGraph.getJobGraph}, and {@code StreamingJobGraphGenerator} copies {@code
 *       getSavepointRestoreSettings()} into it;
 *   <li>{@code SchedulerUtils.createCompletedCheckpointStoreIfCheckpointingIsEnabled} takes the claim mode out of these
 *       settings, and {@code DefaultExecutionGraphFactory.tryRestoreExecutionGraphFromSavepoint} the rest, when there is no
 *       live checkpoint ({@code restoreInitialCheckpointIfPresent} goes first).
 * </ol>
 *
 * <p>The stored bytes have the settings as well: a process that recovers the graph restores from the same snapshot, as
 * long as there is no live checkpoint.
 */
final class RestorePlan {

    /** What a job starts from. */
    enum Restore {
        /** A snapshot of the deployment. */
        SNAPSHOT,
        /** Nothing, whatever path was configured. */
        EMPTY,
        /** What the job's own settings say: there is nothing that the sidecar knows better. */
        GIVEN
    }

    private static final Logger LOG = LoggerFactory.getLogger(RestorePlan.class);

    final Restore restore;
    /** Only for {@link Restore#SNAPSHOT}; otherwise null. */
    final String externalPointer;

    private final String snapshotInWords;
    private final boolean allowNonRestoredState;
    private final String claimMode;
    private final String why;

    private RestorePlan(JsonNode json) throws IOException {
        restore = restoreOf(Json.text(json, "restore"));
        why = Json.text(json, "why");
        allowNonRestoredState = json.path("allow_non_restored_state").asBoolean(false);
        if (restore == Restore.SNAPSHOT) {
            JsonNode snapshot = Json.required(json, "snapshot");
            externalPointer = Json.text(snapshot, "external_pointer");
            snapshotInWords = Json.text(snapshot, "kind") + " " + Json.number(snapshot, "id") + " at " + externalPointer;
            claimMode = claimModeOf(Json.text(json, "claim_mode"));
        } else {
            externalPointer = null;
            snapshotInWords = "";
            claimMode = "";
        }
    }

    static RestorePlan parse(JsonNode json) throws IOException {
        return new RestorePlan(json);
    }

    private static Restore restoreOf(String word) throws IOException {
        for (Restore known : Restore.values()) {
            if (known.name().equalsIgnoreCase(word)) {
                return known;
            }
        }
        throw new IOException("'restore' is '" + word + "'; this adapter knows snapshot, empty and given");
    }

    private static String claimModeOf(String word) throws IOException {
        if (word.equals("CLAIM") || word.equals("NO_CLAIM")) {
            return word;
        }
        throw new IOException("'claim_mode' is '" + word + "'; this adapter knows CLAIM and NO_CLAIM");
    }

    static SidecarCall question(String job, long epoch) {
        return SidecarCall.read("/v1/jobs/" + job + "/plan", epoch);
    }

    /** Sets in the graph what it is to be restored from, and says so in the log. */
    <T> void applyTo(T graph, String job, GraphKind<T> kind) {
        SavepointRestoreSettings own = kind.settingsOf(graph);
        String given = own.restoreSavepoint() ? own.getRestorePath() : "";
        String who = "Job " + job + " (" + kind.nameOf(graph) + ")";
        String instead = given.isEmpty() || given.equals(externalPointer) ? "" : ", and not from the configured " + given;
        switch (restore) {
            case SNAPSHOT:
                boolean allow = allowNonRestoredState || own.allowNonRestoredState();
                kind.restoreWith(graph, kind.forPath(externalPointer, allow, claimMode));
                LOG.info(
                        "{} is going to be restored from {}{}: {}. Claim mode {}, state without an operator is {}.",
                        who, snapshotInWords, instead, why, claimMode, allow ? "dropped" : "an error");
                break;
            case EMPTY:
                kind.restoreWith(graph, SavepointRestoreSettings.none());
                LOG.info("{} is going to start without state{}: {}", who, instead, why);
                break;
            default:
                String from = given.isEmpty() ? "has no path to start from" : "is going to be restored from " + given;
                LOG.info("{} is left as it was configured, and {}: {}", who, from, why);
        }
    }
}
