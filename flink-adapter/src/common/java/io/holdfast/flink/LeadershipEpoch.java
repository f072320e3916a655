/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;

/**
 * The newest epoch under which this process was granted leadership: the fencing token of every write. It stays after the
 * leadership was given up, because Flink cleans up after that ({@code cleanupAllData}); the sidecar decides whether it
 * is still good for anything.
 */
final class LeadershipEpoch {

    private static final long NONE = 0;

    private final AtomicLong newest = new AtomicLong(NONE);

    void granted(long epoch) {
        newest.set(epoch);
    }

    long newest() {
        long epoch = newest.get();
        if (epoch == NONE) {
            throw new IllegalStateException(
                    "this process was never granted leadership and must not touch the deployment's data");
        }
        return epoch;
    }

    /**
     * The epoch that an object keeps which Flink creates under a leadership: its writes must be refused once that
     * leadership is over, even when this process has been granted another one since. Without any leadership yet it is
     * fixed at the first use.
     */
    LongSupplier captured() {
        AtomicLong captured = new AtomicLong(newest.get());
        return () -> {
            captured.compareAndSet(NONE, newest.get());
            return captured.get() == NONE ? newest() : captured.get();
        };
    }
}
