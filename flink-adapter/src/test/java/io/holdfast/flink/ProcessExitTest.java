/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;

/** The real end of a process, in a process of its own. */
class ProcessExitTest {

    /** Started by the test. A shutdown hook that never ends stands for whatever would still act on a wrong state. */
    static final class Victim {
        public static void main(String[] args) {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> Attempts.pause(600_000)));
            throw ProcessExit.HALT.end("the reason", new IllegalStateException("the cause"));
        }
    }

    @Test
    void endsAtOnceWithItsExitCodeAndSaysWhy() throws Exception {
        Process process =
                new ProcessBuilder(
                                System.getProperty("java.home") + "/bin/java",
                                "-cp",
                                System.getProperty("java.class.path"),
                                Victim.class.getName())
                        .redirectErrorStream(true)
                        .start();
        try {
            assertTrue(process.waitFor(60, TimeUnit.SECONDS));
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertEquals(ProcessExit.EXIT_CODE, process.exitValue(), output);
            assertTrue(output.contains("the reason"), output);
        } finally {
            process.destroyForcibly();
        }
    }
}
