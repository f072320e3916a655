/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.runtime.checkpoint.CompletedCheckpoint;
import org.apache.flink.runtime.persistence.StateHandleStore;
import org.apache.flink.runtime.persistence.StringResourceVersion;
import org.apache.flink.runtime.state.RetrievableStateHandle;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ArrayNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.function.LongSupplier;

/**
 * The checkpoints of one job, as Flink's DefaultCompletedCheckpointStore wants them. Every call carries the epoch of the
 * leadership under which this object was made.
 *
 * <p>There is no locking: one leader writes, and the epoch sees to it. {@code release} does nothing, as in Flink's
 * KubernetesStateHandleStore.
 */
final class PointerStore implements StateHandleStore<CompletedCheckpoint, StringResourceVersion> {

    private static final Logger LOG = LoggerFactory.getLogger(PointerStore.class);

    private final DurableCalls calls;
    private final CheckpointMetadataReader reader;
    private final LongSupplier epoch;
    private final String jobPath;

    PointerStore(JobID jobId, DurableCalls calls, CheckpointMetadataReader reader, LongSupplier epoch) {
        this.calls = calls;
        this.reader = reader;
        this.epoch = epoch;
        this.jobPath = "/v1/jobs/" + jobId;
    }

    private String path(String name) {
        return jobPath + "/checkpoints/" + CheckpointNames.INSTANCE.nameToCheckpointID(name);
    }

    /**
     * Registers a completed checkpoint. Returns when it is durable.
     *
     * @throws AlreadyExistException another checkpoint stands under this id
     * @throws SidecarException it is certain that nothing was recorded
     */
    @Override
    public RetrievableStateHandle<CompletedCheckpoint> addAndLock(String name, CompletedCheckpoint checkpoint)
            throws Exception {
        PointerRecord pointer = PointerRecord.of(checkpoint);
        SidecarCall call = SidecarCall.write("PUT", path(name), epoch.getAsLong()).json(pointer.toJson());
        // A snapshot that is restored is added while the job starts, where an exception ends the job for good.
        boolean starting = pointer.restoredProperties != null || pointer.properties.isSavepoint();
        SidecarAnswer answer = starting ? calls.needed(call, Problem.ALREADY_EXISTS) : calls.add(call);
        if (answer.problem != null) {
            throw new AlreadyExistException(call + ": " + answer.problem);
        }
        return new StoredState<>(call.body.length, () -> checkpoint);
    }

    /** A completed checkpoint never changes. */
    @Override
    public void replace(String name, StringResourceVersion version, CompletedCheckpoint checkpoint) {
        throw new UnsupportedOperationException("a completed checkpoint cannot be replaced");
    }

    @Override
    public StringResourceVersion exists(String name) throws Exception {
        for (JsonNode entry : list()) {
            if (nameOf(entry).equals(name)) {
                return StringResourceVersion.valueOf(name);
            }
        }
        return StringResourceVersion.notExisting();
    }

    @Override
    public RetrievableStateHandle<CompletedCheckpoint> getAndLock(String name) throws Exception {
        for (JsonNode entry : list()) {
            if (nameOf(entry).equals(name)) {
                return handle(entry);
            }
        }
        throw new NotExistException("there is no live checkpoint " + path(name));
    }

    /** In the order of their ids. An entry that cannot be read fails when it is retrieved; none is left out. */
    @Override
    public List<Tuple2<RetrievableStateHandle<CompletedCheckpoint>, String>> getAllAndLock() throws Exception {
        List<Tuple2<RetrievableStateHandle<CompletedCheckpoint>, String>> handles = new ArrayList<>();
        for (JsonNode entry : list()) {
            handles.add(Tuple2.of(handle(entry), nameOf(entry)));
        }
        LOG.info("{} live checkpoints under {}", handles.size(), jobPath);
        return handles;
    }

    @Override
    public Collection<String> getAllHandles() throws Exception {
        List<String> names = new ArrayList<>();
        for (JsonNode entry : list()) {
            names.add(nameOf(entry));
        }
        return names;
    }

    private static String nameOf(JsonNode entry) throws IOException {
        return CheckpointNames.INSTANCE.checkpointIDToName(Json.number(entry, "id"));
    }

    private RetrievableStateHandle<CompletedCheckpoint> handle(JsonNode entry) throws IOException {
        long checkpointId = Json.number(entry, "id");
        JsonNode pointer = Json.required(entry, "pointer");
        return new StoredState<>(
                pointer.toString().length(), () -> reader.rebuild(checkpointId, PointerRecord.parse(pointer)));
    }

    /** Only {@code unknown-job} means that there is none; any other failure must not look like it. */
    private JsonNode list() throws Exception {
        SidecarCall call = SidecarCall.read(jobPath + "/checkpoints", epoch.getAsLong());
        SidecarAnswer answer = calls.needed(call, Problem.UNKNOWN_JOB);
        return answer.problem == null
                ? Json.required(answer.json(), "checkpoints")
                : Json.object().putArray("checkpoints");
    }

    /** True also when it was gone already: the clean-up is repeated after a failover, and has to succeed then. */
    @Override
    public boolean releaseAndTryRemove(String name) throws Exception {
        calls.shortWrite(SidecarCall.write("DELETE", path(name), epoch.getAsLong()), Problem.UNKNOWN_JOB);
        return true;
    }

    @Override
    public void clearEntries() throws Exception {
        SidecarCall call = SidecarCall.write("DELETE", jobPath + "/checkpoints", epoch.getAsLong());
        calls.shortWrite(call, Problem.UNKNOWN_JOB);
    }

    /**
     * Says that the job ended for good, before Flink removes the pointers one by one: afterwards nobody could tell a
     * checkpoint that was subsumed from the one to continue from.
     */
    void end(JobStatus status, List<Long> discarded) throws SidecarException {
        ObjectNode body = Json.object().put("status", status.name());
        ArrayNode ids = body.putArray("discarded");
        discarded.forEach(ids::add);
        SidecarCall call = SidecarCall.write("POST", jobPath + "/end", epoch.getAsLong()).json(body);
        calls.write(call, Problem.UNKNOWN_JOB);
    }

    /**
     * Says that the job is about to be restored from this checkpoint. Without a definite answer the process ends: a job
     * that runs on while nobody knows that it was rolled back could be continued from what it rolled back behind.
     *
     * @throws SidecarException refused: another leader runs this job
     */
    void restored(long checkpointId) throws SidecarException {
        calls.restored(
                SidecarCall.write("POST", jobPath + "/restored", epoch.getAsLong())
                        .json(Json.object().put("id", checkpointId)));
    }

    @Override
    public void release(String name) {}

    @Override
    public void releaseAll() {}

    /** Flink's log lines name the store by this. */
    @Override
    public String toString() {
        return "the sidecar's " + jobPath + "/checkpoints";
    }
}
