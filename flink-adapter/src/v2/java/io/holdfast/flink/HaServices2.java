/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.configuration.Configuration;

import java.util.concurrent.Executor;

/** Flink 2.0 to 2.2. */
final class HaServices2 extends ExecutionPlanHaServices {

    HaServices2(Configuration configuration, Executor ioExecutor) {
        super(configuration, ioExecutor);
    }
}
