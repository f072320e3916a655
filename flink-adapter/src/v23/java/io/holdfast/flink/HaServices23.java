/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.highavailability.ApplicationResultStore;
import org.apache.flink.runtime.jobmanager.ApplicationStore;
import org.apache.flink.runtime.jobmanager.StandaloneApplicationStore;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

import java.util.concurrent.Executor;

/** Flink 2.3: also remembers which applications ended. */
final class HaServices23 extends ExecutionPlanHaServices {

    HaServices23(Configuration configuration, Executor ioExecutor) {
        super(configuration, ioExecutor);
    }

    /**
     * Keeps nothing. Flink stores here only applications that were submitted to a session cluster; in application mode,
     * which is what Holdfast is for, the application comes with the process (PackagedProgramApplication has no store
     * entry without a user jar).
     */
    @Override
    public ApplicationStore getApplicationStore() {
        return new StandaloneApplicationStore();
    }

    @Override
    public ApplicationResultStore getApplicationResultStore() {
        return new HoldfastApplicationResultStore(calls, epoch, ioExecutor());
    }

    /**
     * A recovered job waits for an {@code execute()} that gets its id: {@code JobNameBasedJobIdManager} gives it to the first
     * graph that has the job's name, and {@code EmbeddedExecutor} then recovers the stored graph and ignores this one. It
     * would not be ignored under another name, hence {@code jobName} is the one in the stored graph.
     */
    @Override
    void startRecovered(String jobName) throws Exception {
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.fromSequence(0, 1).sinkTo(new DiscardingSink<>());
        env.execute(jobName);
    }
}
