/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.util.concurrent.ThreadLocalRandom;

/** Growing pauses between attempts: from the first to the longest, doubled each time, a fifth of it at random. */
final class Backoff {

    private static final double RANDOM_PART = 0.2;

    private final long firstMs;
    private final long longestMs;
    private long nextMs;

    Backoff(long firstMs, long longestMs) {
        this.firstMs = firstMs;
        this.longestMs = longestMs;
        this.nextMs = firstMs;
    }

    long nextMs() {
        long thisMs = nextMs;
        nextMs = Math.min(longestMs, 2 * nextMs);
        // Many TaskManagers lose the same sidecar at the same moment.
        return (long) (thisMs * (1 - RANDOM_PART * ThreadLocalRandom.current().nextDouble()));
    }

    void reset() {
        nextMs = firstMs;
    }
}
