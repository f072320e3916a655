/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.core.security.FlinkSecurityManager;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The end of this process, for the few states in which every answer to Flink would be wrong. An interface, so that a
 * test can see it happen.
 *
 * <p>Most of all: an add whose outcome is unknown. Told "failed", Flink rolls the tasks back to checkpoint N-1 and their
 * sinks abort what they prepared for N; if N was recorded after all, a later JobManager restores N and the aborted data
 * is lost. Told "possibly inconsistent", Flink does the same. After the process ended both are safe, because no task
 * was rolled back and none was told to commit.
 */
interface ProcessExit {

    /** {@code EX_TEMPFAIL} of sysexits.h: try again. Distinct from Flink's own exit codes (1, 2, 239, 1443, 1445). */
    int EXIT_CODE = 75;

    /** Ends the process. Never returns; the type lets callers write {@code throw exit.end(…)}. */
    Error end(String reason, Throwable cause);

    /** Halts the JVM without shutdown hooks: nothing may act on the state that forced this. */
    ProcessExit HALT =
            (reason, cause) -> {
                Logger log = LoggerFactory.getLogger(ProcessExit.class);
                log.error("Ending this JobManager process (exit code {}): {}", EXIT_CODE, reason, cause);
                // The log may go to a file that nobody keeps; the container's output is kept with its exit code.
                System.err.println("holdfast: ending this JobManager process (exit code " + EXIT_CODE + "): " + reason);
                System.err.flush();
                try {
                    Runtime.getRuntime().halt(EXIT_CODE);
                } catch (SecurityException refused) {
                    // 'cluster.intercept-user-system-exit' guards threads that run user code.
                    log.error("Halting was refused, exiting by force", refused);
                    FlinkSecurityManager.forceProcessExit(EXIT_CODE);
                }
                throw new IllegalStateException("the process outlived its end");
            };
}
