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

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.function.LongSupplier;

/**
 * The stored graphs, as Flink's DefaultJobGraphStore (1.20) and DefaultExecutionPlanStore (2.x) want them. A name is a
 * job id of 32 hex digits. The version of a graph is the hash of its bytes.
 *
 * @param <T> JobGraph or ExecutionPlan
 */
final class GraphStore<T extends Serializable> implements StateHandleStore<T, StringResourceVersion> {

    private final DurableCalls calls;
    private final LongSupplier epoch;

    GraphStore(DurableCalls calls, LongSupplier epoch) {
        this.calls = calls;
        this.epoch = epoch;
    }

    private static String path(String name) {
        return "/v1/jobs/" + name + "/graph";
    }

    /**
     * @throws AlreadyExistException another graph is stored for this job; the same one is a success
     * @throws SidecarException it is certain that nothing was recorded. Flink cleans up this job then
     */
    @Override
    public RetrievableStateHandle<T> addAndLock(String name, T graph) throws Exception {
        SidecarCall call = put(name, graph).with("If-None-Match", "*");
        SidecarAnswer answer = calls.addGraph(call, Problem.ALREADY_EXISTS);
        if (answer.problem != null) {
            throw new AlreadyExistException(call + ": " + answer.problem);
        }
        return handle(call.body);
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
        return SidecarCall.write("PUT", path(name), epoch.getAsLong())
                .bytes(InstantiationUtil.serializeObject(graph), "application/octet-stream")
                .with("Flink-Version", EnvironmentInformation.getVersion());
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

    @Override
    public RetrievableStateHandle<T> getAndLock(String name) throws Exception {
        SidecarCall call = SidecarCall.read(path(name), epoch.getAsLong());
        SidecarAnswer answer = calls.needed(call, Problem.NO_GRAPH, Problem.UNKNOWN_JOB);
        if (answer.problem != null) {
            throw new NotExistException(call + ": " + answer.problem);
        }
        return handle(answer.bytes());
    }

    @Override
    public List<Tuple2<RetrievableStateHandle<T>, String>> getAllAndLock() throws Exception {
        List<Tuple2<RetrievableStateHandle<T>, String>> handles = new ArrayList<>();
        for (String name : getAllHandles()) {
            handles.add(Tuple2.of(getAndLock(name), name));
        }
        return handles;
    }

    @Override
    public Collection<String> getAllHandles() throws Exception {
        List<String> names = new ArrayList<>();
        for (JsonNode entry : list()) {
            names.add(Json.text(entry, "job"));
        }
        return names;
    }

    private JsonNode list() throws Exception {
        SidecarAnswer answer = calls.needed(SidecarCall.read("/v1/graphs", epoch.getAsLong()));
        return Json.required(answer.json(), "graphs");
    }

    private StoredState<T> handle(byte[] serialized) {
        // The graph's user classes are loaded later, from within it; the context class loader is the one that Flink's
        // RetrievableStreamStateHandle uses.
        return new StoredState<>(
                serialized.length,
                () ->
                        InstantiationUtil.deserializeObject(
                                serialized, Thread.currentThread().getContextClassLoader()));
    }

    /** True also when it was gone already: the clean-up is repeated after a failover. */
    @Override
    public boolean releaseAndTryRemove(String name) throws Exception {
        SidecarCall call = SidecarCall.write("DELETE", path(name), epoch.getAsLong());
        calls.write(call, Problem.NO_GRAPH, Problem.UNKNOWN_JOB);
        return true;
    }

    @Override
    public void clearEntries() throws Exception {
        for (String name : getAllHandles()) {
            releaseAndTryRemove(name);
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
