/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.ApplicationID;
import org.apache.flink.runtime.highavailability.AbstractThreadsafeApplicationResultStore;
import org.apache.flink.runtime.highavailability.ApplicationResult;
import org.apache.flink.runtime.highavailability.ApplicationResultEntry;
import org.apache.flink.runtime.rest.messages.json.ApplicationResultDeserializer;
import org.apache.flink.runtime.rest.messages.json.ApplicationResultSerializer;

import java.io.IOException;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.Executor;

/** The results of applications. In application mode Flink runs {@code main()} only if there is no clean one. */
final class HoldfastApplicationResultStore extends AbstractThreadsafeApplicationResultStore {

    private final Results<ApplicationResult> results;

    HoldfastApplicationResultStore(DurableCalls calls, LeadershipEpoch epoch, Executor ioExecutor) {
        super(ioExecutor);
        this.results =
                new Results<>(
                        "applications",
                        ApplicationResult.class,
                        new ApplicationResultSerializer(),
                        new ApplicationResultDeserializer(),
                        calls,
                        epoch);
    }

    @Override
    protected void createDirtyResultInternal(ApplicationResultEntry entry) throws IOException {
        ApplicationResult result = entry.getApplicationResult();
        results.createDirty(
                entry.getApplicationId().toString(), result.getApplicationState().name(), results.toJson(result));
    }

    @Override
    protected void markResultAsCleanInternal(ApplicationID id) throws IOException, NoSuchElementException {
        results.markClean(id.toString());
    }

    @Override
    protected boolean hasDirtyApplicationResultEntryInternal(ApplicationID id) throws IOException {
        return results.isDirty(id.toString());
    }

    @Override
    protected boolean hasCleanApplicationResultEntryInternal(ApplicationID id) throws IOException {
        return results.isClean(id.toString());
    }

    @Override
    protected Set<ApplicationResult> getDirtyResultsInternal() throws IOException {
        return results.allDirty();
    }

    @Override
    protected ApplicationResult getCleanApplicationResultInternal(ApplicationID id) throws IOException {
        return results.clean(id.toString());
    }
}
