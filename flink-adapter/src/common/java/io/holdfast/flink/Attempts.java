/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.ExecutionException;

/**
 * One intended request, sent again unchanged until its outcome is known or a deadline passes. What an outcome means for
 * Flink is decided by {@link DurableCalls}.
 */
final class Attempts {

    /** How the attempts ended. Either there is a definite answer, or the deadline passed. */
    static final class Outcome {
        /** The definite answer; null when the deadline passed without one. */
        final SidecarAnswer answer;
        /** Some attempt without a definite answer may have been recorded. */
        final boolean maybeRecorded;
        /** Why the last attempt had no definite answer; null when there is one. */
        final Throwable lastFailure;

        private Outcome(SidecarAnswer answer, boolean maybeRecorded, Throwable lastFailure) {
            this.answer = answer;
            this.maybeRecorded = maybeRecorded;
            this.lastFailure = lastFailure;
        }
    }

    private static final Logger LOG = LoggerFactory.getLogger(Attempts.class);
    private static final long FIRST_PAUSE_MS = 50;
    private static final long LONGEST_PAUSE_MS = 1_000;
    /** A sidecar that asks for more patience than this is asked earlier all the same. */
    private static final long LONGEST_RETRY_AFTER_MS = 2_000;

    /**
     * A last attempt with hardly any time is not begun: its answer would come too late, and what was known until then, that
     * nothing was recorded, would be unknown.
     */
    private static final long LEAST_PART_OF_TIMEOUT = 4;

    private final SidecarClient client;
    private final long requestTimeoutMs;

    Attempts(SidecarClient client, long requestTimeoutMs) {
        this.client = client;
        this.requestTimeoutMs = requestTimeoutMs;
    }

    /** Returns within the limit; there is at least one attempt. Not interruptible. */
    Outcome untilDefinite(SidecarCall call, long limitMs) {
        long deadlineNs = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(limitMs);
        long leastMs = Math.min(requestTimeoutMs, limitMs) / LEAST_PART_OF_TIMEOUT;
        Backoff backoff = new Backoff(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        boolean maybeRecorded = false;
        for (int attempt = 1; ; attempt++) {
            Throwable failure;
            long retryAfterMs = 0;
            try {
                SidecarAnswer answer = client.call(call, Math.max(1, Math.min(requestTimeoutMs, leftMs(deadlineNs))));
                if (answer.definite()) {
                    return new Outcome(answer, maybeRecorded, null);
                }
                maybeRecorded |= !answer.problem.notRecorded;
                retryAfterMs = answer.retryAfterMs;
                failure = new SidecarException(call.toString(), answer.problem);
            } catch (SidecarClient.NotSentException e) {
                failure = e;
            } catch (IOException e) {
                maybeRecorded = true;
                failure = e;
            }
            long pauseMs = Math.max(backoff.nextMs(), Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS));
            if (leftMs(deadlineNs) <= pauseMs + leastMs || client.isClosed()) {
                return new Outcome(null, maybeRecorded, failure);
            }
            if (attempt == 1) {
                LOG.info("Repeating {} for at most {} ms: {}", call, leftMs(deadlineNs), failure.toString());
            } else {
                LOG.debug("Attempt {} of {}", attempt, call, failure);
            }
            pause(pauseMs);
            if (leftMs(deadlineNs) < leastMs) { // The pause was longer: this machine is busy.
                return new Outcome(null, maybeRecorded, failure);
            }
        }
    }

    private static long leftMs(long deadlineNs) {
        return TimeUnit.NANOSECONDS.toMillis(deadlineNs - System.nanoTime());
    }

    static void pause(long pauseMs) {
        try {
            Threads.await(new CompletableFuture<Void>(), pauseMs);
        } catch (TimeoutException over) {
            return;
        } catch (ExecutionException e) {
            throw new IllegalStateException("nobody completes this future", e);
        }
    }
}
