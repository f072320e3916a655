/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.runtime.checkpoint.CheckpointIDCounter;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.util.FlinkException;
import org.apache.flink.util.FlinkRuntimeException;

import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.function.LongSupplier;

/**
 * The checkpoint ids of one job, given out by the sidecar: strictly increasing, never twice, across processes.
 *
 * <p>A trigger that fails here must not have an {@code IOException} in its cause chain (see {@link SidecarException}):
 * then Flink only skips that checkpoint.
 */
final class HoldfastCheckpointIDCounter implements CheckpointIDCounter {

    private final DurableCalls calls;
    private final LongSupplier epoch;
    private final String path;

    HoldfastCheckpointIDCounter(JobID jobId, DurableCalls calls, LongSupplier epoch) {
        this.calls = calls;
        this.epoch = epoch;
        this.path = "/v1/jobs/" + jobId + "/counter";
    }

    /** Creates the counter if there is none; one that exists never goes down. */
    @Override
    public void start() throws Exception {
        setCount(INITIAL_CHECKPOINT_ID);
    }

    /** One at a time, so that the ids are handed out in the order in which they were asked for. */
    @Override
    public synchronized long getAndIncrement() throws Exception {
        return value(calls.shortWrite(SidecarCall.write("POST", path + "/next", epoch.getAsLong())));
    }

    @Override
    public synchronized long get() {
        try {
            SidecarAnswer answer = calls.needed(SidecarCall.read(path, epoch.getAsLong()), Problem.UNKNOWN_JOB);
            return answer.problem == null ? value(answer) : INITIAL_CHECKPOINT_ID;
        } catch (FlinkException e) {
            throw new FlinkRuntimeException("the checkpoint id counter cannot be read", e);
        }
    }

    /** Part of every start and restore, hence the patience. */
    @Override
    public synchronized void setCount(long newId) throws Exception {
        SidecarCall call = SidecarCall.write("PUT", path, epoch.getAsLong());
        calls.needed(call.json(Json.object().put("value", newId)));
    }

    /** Nothing to do: whatever became of the job, its ids are never given out again. */
    @Override
    public CompletableFuture<Void> shutdown(JobStatus status) {
        return CompletableFuture.completedFuture(null);
    }

    private long value(SidecarAnswer answer) throws FlinkException {
        try {
            JsonNode json = answer.json();
            return Json.number(json, "value");
        } catch (IOException e) {
            throw new SidecarException(path + " gave no number", e);
        }
    }
}
