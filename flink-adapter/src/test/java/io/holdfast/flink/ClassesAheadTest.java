/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;

class ClassesAheadTest {

    private static final AtomicReference<List<String>> GIVEN = new AtomicReference<>();
    private static final AtomicBoolean INITIALIZED = new AtomicBoolean();

    @TempDir Path directory;

    @Test
    void theEntryPointRunsWithItsArguments() throws Throwable {
        ClassesAhead.main(new String[] {EntryPoint.class.getName(), "--configDir", "/conf"});
        assertEquals(List.of("--configDir", "/conf"), GIVEN.get());
    }

    @Test
    void whatTheEntryPointThrowsIsWhatItsCallerSees() {
        String[] words = {EntryPoint.class.getName()};
        assertEquals("no arguments", assertThrows(IOException.class, () -> ClassesAhead.main(words)).getMessage());
    }

    @Test
    void classesAreLoadedAndNotInitializedAndThoseThatAreNotThereArePassedOver() throws Exception {
        Path list = directory.resolve("classes");
        Files.write(list, List.of("org.example.IsNotThere", Initialized.class.getName(), "not a name"));
        assertEquals(1, ClassesAhead.load(list));
        assertFalse(INITIALIZED.get());
        assertEquals(0, ClassesAhead.load(directory.resolve("no-list")));
    }

    /** In place of Flink's. */
    public static final class EntryPoint {
        public static void main(String[] arguments) throws IOException {
            if (arguments.length == 0) {
                throw new IOException("no arguments");
            }
            GIVEN.set(List.of(arguments));
        }
    }

    private static final class Initialized {
        static {
            INITIALIZED.set(true);
        }
    }
}
