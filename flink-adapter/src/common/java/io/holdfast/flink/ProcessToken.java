/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.util.UUID;

/**
 * What this process calls itself towards the sidecar. {@code holdfast exec} gives it in the environment, and recognizes by it
 * which of its processes leads; elsewhere it is random.
 */
final class ProcessToken {

    static final String VARIABLE = "HOLDFAST_PROCESS";

    private ProcessToken() {}

    static String find() {
        return orRandom(System.getenv(VARIABLE));
    }

    /** What the sidecar would refuse is replaced as well: 1 to 64 visible ASCII characters are allowed. */
    static String orRandom(String given) {
        boolean allowed = given != null && given.matches("[!-~]{1,64}");
        return allowed ? given : UUID.randomUUID().toString();
    }
}
