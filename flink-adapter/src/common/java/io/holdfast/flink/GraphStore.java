/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.runtime.persistence.StateHandleStore;
import org.apache.flink.runtime.persistence.StringResourceVersion;
import org.apache.flink.runtime.state.RetrievableStateHandle;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.util.FlinkException;
import org.apache.flink.util.InstantiationUtil;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/**
 * The stored graphs, as Flink's DefaultJobGraphStore (1.20) and DefaultExecutionPlanStore (2.x) want them. A name is a
 * job id of 32 hex digits. The version of a graph is the hash of its bytes.
 *
 * @param <T> JobGraph or ExecutionPlan
 */
final class GraphStore<T extends Serializable> implements StateHandleStore<T, StringResourceVersion> {

    private static final Logger LOG = LoggerFactory.getLogger(GraphStore.class);

    private final DurableCalls calls;
    private final LongSupplier epoch;
    private final GraphKind<T> kind;
    private final Supplier<Fingerprint> fingerprint;
    private final RecoveredGraphs recovered;

    /**
     * @param fingerprint of the graphs that this process makes, the same each time; gives null when it is unknown
     * @param recovered is told which graphs Flink was handed
     */
    GraphStore(
            DurableCalls calls,
            LongSupplier epoch,
            GraphKind<T> kind,
            Supplier<Fingerprint> fingerprint,
            RecoveredGraphs recovered) {
        this.calls = calls;
        this.epoch = epoch;
        this.kind = kind;
        this.fingerprint = fingerprint;
        this.recovered = recovered;
    }

    private static String path(String name) {
        return "/v1/jobs/" + name + "/graph";
    }

    /**
     * Stores the graph of a job that is being submitted, after what the sidecar's plan says was set in it: the job is run
     * from this same object (see {@link RestorePlan}).
     *
     * @throws AlreadyExistException another graph is stored for this job; the same one is a success
     * @throws SidecarException it is certain that nothing was recorded. Flink cleans up this job then
     */
    @Override
    public RetrievableStateHandle<T> addAndLock(String name, T graph) throws Exception {
        RestorePlan plan = calls.planOfSubmission(name, epoch.getAsLong());
        if (plan != null) {
            plan.applyTo(graph, name, kind);
        }
        SidecarCall call = put(name, graph).with("If-None-Match", "*");
        SidecarAnswer answer = calls.addGraph(call, Problem.ALREADY_EXISTS);
        if (answer.problem != null) {
            throw new AlreadyExistException(call + ": " + answer.problem);
        }
        return handle(graph, call.body.length);
    }

    /**
     * @throws NotExistException there is nothing to replace
     * @throws FlinkException somebody else replaced it since that version was read
     */
    @Override
    public void replace(String name, StringResourceVersion version, T graph) throws Exception {
        SidecarCall call = put(name, graph).with("If-Match", '"' + version.getValue() + '"');
        SidecarAnswer answer =
                calls.addGraph(call, Problem.NO_GRAPH, Problem.UNKNOWN_JOB, Problem.STALE_VERSION);
        if (answer.is(Problem.STALE_VERSION)) {
            throw new FlinkException(call + ": " + answer.problem);
        }
        if (answer.problem != null) {
            throw new NotExistException(call + ": " + answer.problem);
        }
    }

    private SidecarCall put(String name, T graph) throws Exception {
        SidecarCall call =
                SidecarCall.write("PUT", path(name), epoch.getAsLong())
                        .bytes(InstantiationUtil.serializeObject(graph), "application/octet-stream")
                        .with("Flink-Version", EnvironmentInformation.getVersion());
        Fingerprint made = fingerprint.get();
        return made == null ? call : call.with("Holdfast-Fingerprint", made.toString());
    }

    @Override
    public StringResourceVersion exists(String name) throws Exception {
        for (JsonNode entry : list()) {
            if (Json.text(entry, "job").equals(name)) {
                return StringResourceVersion.valueOf(Json.text(entry, "hash"));
            }
        }
        return StringResourceVersion.notExisting();
    }

    /**
     * One graph to run, or to change. A graph that cannot be read is dropped, and Flink is told that there is none: it skips
     * the recovery of this job and {@code main()} makes a new graph (SessionDispatcherLeaderProcess, DefaultJobGraphStore
     * and DefaultExecutionPlanStore of all versions). Any other exception would end the process, and the next one as well.
     *
     * @throws NotExistException there is no graph, or none that can be used
     */
    @Override
    public RetrievableStateHandle<T> getAndLock(String name) throws Exception {
        SidecarCall call = SidecarCall.read(path(name), epoch.getAsLong());
        SidecarAnswer answer = calls.needed(call, Problem.NO_GRAPH, Problem.UNKNOWN_JOB, Problem.CORRUPT);
        if (answer.is(Problem.CORRUPT)) {
            throw unusable(name, answer.problem.toString(), null);
        }
        if (answer.problem != null) {
            throw new NotExistException(call + ": " + answer.problem);
        }
        T graph;
        try {
            // Its user classes are loaded later, from within it; the context class loader is the one that Flink's
            // RetrievableStreamStateHandle uses.
            graph =
                    InstantiationUtil.deserializeObject(
                            answer.bytes(), Thread.currentThread().getContextClassLoader());
        } catch (Exception | LinkageError e) {
            throw unusable(name, "it cannot be read: " + e, e);
        }
        recovered.handed(name, kind.nameOf(graph));
        return handle(graph, answer.bytes().length);
    }

    private NotExistException unusable(String name, String why, Throwable cause) throws Exception {
        drop(name, why);
        return new NotExistException("the stored graph of job " + name + " is not used: " + why, cause);
    }

    /** Durable before this returns: Flink refuses to store a graph where there is one that it has not recovered. */
    private void drop(String name, String why) throws Exception {
        LOG.warn("The stored graph of job {} is not used and dropped, main() makes a new one: {}", name, why);
        releaseAndTryRemove(name);
    }

    @Override
    public List<Tuple2<RetrievableStateHandle<T>, String>> getAllAndLock() throws Exception {
        List<Tuple2<RetrievableStateHandle<T>, String>> handles = new ArrayList<>();
        for (String name : getAllHandles()) {
            handles.add(Tuple2.of(getAndLock(name), name));
        }
        return handles;
    }

    /**
     * The jobs whose graphs are to be recovered; Flink asks when it starts to lead, and at no other time. A graph that was
     * made from something else than this process would make it from is dropped here. The checkpoints stay.
     */
    @Override
    public Collection<String> getAllHandles() throws Exception {
        List<String> names = new ArrayList<>();
        for (JsonNode entry : list()) {
            String name = Json.text(entry, "job");
            String difference = differenceOf(entry);
            if (difference.isEmpty()) {
                names.add(name);
            } else {
                drop(name, difference);
            }
        }
        return names;
    }

    /** Why a stored graph is not one that this process would make; empty when it is. */
    private String differenceOf(JsonNode entry) {
        String recorded = entry.path("fingerprint").asText("");
        Fingerprint here = fingerprint.get();
        String flinkVersion = entry.path("flink_version").asText("");
        if (!flinkVersion.equals(EnvironmentInformation.getVersion())) {
            return "it was made by Flink " + flinkVersion + ", and this is " + EnvironmentInformation.getVersion();
        }
        if (entry.path("fingerprint").isNull() || recorded.isEmpty() || here == null) {
            return ""; // nothing more is known
        }
        List<String> different = here.differencesFrom(recorded);
        return different.isEmpty()
                ? ""
                : "it was made from another " + String.join(" and another ", different) + " (then " + recorded
                        + ", now " + here + ")";
    }

    private JsonNode list() throws Exception {
        SidecarAnswer answer = calls.needed(SidecarCall.read("/v1/graphs", epoch.getAsLong()));
        return Json.required(answer.json(), "graphs");
    }

    private StoredState<T> handle(T graph, long sizeBytes) {
        return new StoredState<>(sizeBytes, () -> graph);
    }

    /** True also when it was gone already: the clean-up is repeated after a failover. */
    @Override
    public boolean releaseAndTryRemove(String name) throws Exception {
        SidecarCall call = SidecarCall.write("DELETE", path(name), epoch.getAsLong());
        calls.write(call, Problem.NO_GRAPH, Problem.UNKNOWN_JOB);
        recovered.removed(name);
        return true;
    }

    @Override
    public void clearEntries() throws Exception {
        for (JsonNode entry : list()) {
            releaseAndTryRemove(Json.text(entry, "job"));
        }
    }

    @Override
    public void release(String name) {}

    @Override
    public void releaseAll() {}

    /** Flink's log lines name the store by this. */
    @Override
    public String toString() {
        return "the sidecar's /v1/graphs";
    }
}
