/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.runtime.highavailability.AbstractThreadsafeJobResultStore;
import org.apache.flink.runtime.highavailability.JobResultEntry;
import org.apache.flink.runtime.jobmaster.JobResult;
import org.apache.flink.runtime.rest.messages.json.JobResultDeserializer;
import org.apache.flink.runtime.rest.messages.json.JobResultSerializer;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

import java.io.IOException;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.Executor;

/** The results of jobs. A job that has one is not started again. */
final class HoldfastJobResultStore extends AbstractThreadsafeJobResultStore {

    private final Results<JobResult> results;

    HoldfastJobResultStore(DurableCalls calls, LeadershipEpoch epoch, Executor ioExecutor) {
        super(ioExecutor);
        this.results =
                new Results<>(
                        "jobs", JobResult.class, new JobResultSerializer(), new JobResultDeserializer(), calls, epoch);
    }

    @Override
    protected void createDirtyResultInternal(JobResultEntry entry) throws IOException {
        JsonNode json = results.toJson(entry.getJobResult());
        results.createDirty(entry.getJobId().toString(), statusOf(json), json);
    }

    /**
     * The JobStatus, from the JSON that every version writes alike: {@code JobResult.getApplicationStatus()} is gone in
     * Flink 2.3, and {@code getJobStatus()} is not there before it.
     */
    private static String statusOf(JsonNode result) {
        String applicationStatus = result.path("application-status").asText();
        return applicationStatus.equals("SUCCEEDED") ? "FINISHED" : applicationStatus;
    }

    @Override
    protected void markResultAsCleanInternal(JobID jobId) throws IOException, NoSuchElementException {
        results.markClean(jobId.toString());
    }

    @Override
    protected boolean hasDirtyJobResultEntryInternal(JobID jobId) throws IOException {
        return results.isDirty(jobId.toString());
    }

    @Override
    protected boolean hasCleanJobResultEntryInternal(JobID jobId) throws IOException {
        return results.isClean(jobId.toString());
    }

    @Override
    protected Set<JobResult> getDirtyResultsInternal() throws IOException {
        return results.allDirty();
    }
}
