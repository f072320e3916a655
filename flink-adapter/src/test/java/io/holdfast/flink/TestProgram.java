/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A job's {@code main()} that needs something from outside: it fails while the file {@code broken} is in the directory
 * that it was given, and leaves a line in {@code calls} each time it is called.
 */
public final class TestProgram {

    static final String NAME = "a job without tasks to run it";

    private TestProgram() {}

    public static void main(String[] args) throws Exception {
        Path directory = Path.of(args[0]);
        Files.writeString(
                directory.resolve("calls"), "called\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        if (Files.exists(directory.resolve("broken"))) {
            throw new IllegalStateException("what main() needs is not there");
        }
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        env.enableCheckpointing(60_000);
        env.fromSequence(0, Long.MAX_VALUE).print();
        env.execute(NAME);
    }
}
