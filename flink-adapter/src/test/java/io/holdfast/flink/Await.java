/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.util.concurrent.Callable;

/** Waits for a condition, with an end. */
final class Await {

    private static final long LIMIT_MS = 20_000;
    private static final long POLL_MS = 10;

    private Await() {}

    static void until(String what, Callable<Boolean> condition) throws Exception {
        until(what, LIMIT_MS, condition);
    }

    static void until(String what, long limitMs, Callable<Boolean> condition) throws Exception {
        long deadlineNs = System.nanoTime() + limitMs * 1_000_000;
        while (!condition.call()) {
            if (System.nanoTime() > deadlineNs) {
                throw new AssertionError("not within " + limitMs + " ms: " + what);
            }
            Thread.sleep(POLL_MS);
        }
    }
}
