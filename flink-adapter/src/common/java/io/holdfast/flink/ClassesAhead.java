/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.io.BufferedReader;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * The main class of a JobManager that {@code holdfast exec} starts directly with what {@code holdfast prepare} made: it runs
 * Flink's main class, which is its first argument, and loads classes on a second thread while that one works its way there.
 *
 * <p>A JobManager starts on one thread. Some six thousand classes are loaded on its way to a recovered job, and those of the RPC
 * system come through a class loader of their own, which takes its time even with an archive. The list of them, in the order in
 * which a recovery needs them, is a file that a system property names ({@code holdfast prepare} wrote it).
 *
 * <p>It must never change what a process does: classes are loaded and not initialized, what cannot be loaded is passed over, and
 * a process with one processor does without. It logs nothing: logging is not set up yet.
 */
public final class ClassesAhead {

    static final String LIST_PROPERTY = "holdfast.classes";

    private ClassesAhead() {}

    /** @param words Flink's main class, and its arguments */
    public static void main(String[] words) throws Throwable {
        String list = System.getProperty(LIST_PROPERTY, "");
        if (!list.isEmpty() && Runtime.getRuntime().availableProcessors() > 1) {
            // Not a lambda: making the first one takes a tenth of what is to be gained.
            Threads.daemon(
                            "holdfast-classes-ahead",
                            new Runnable() {
                                @Override
                                public void run() {
                                    load(Path.of(list));
                                }
                            })
                    .start();
        }
        try {
            Class.forName(words[0])
                    .getMethod("main", String[].class)
                    .invoke(null, (Object) Arrays.copyOfRange(words, 1, words.length));
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    /** Visible for tests. Returns how many classes of the list are loaded. */
    static int load(Path list) {
        int loaded = 0;
        try (BufferedReader names = Files.newBufferedReader(list)) {
            ClassLoader loader = PreparedRpcSystemLoader.isolatedOrOwn();
            for (String name = names.readLine(); name != null; name = names.readLine()) {
                try {
                    Class.forName(name, false, loader);
                    loaded++;
                } catch (ClassNotFoundException | LinkageError e) {
                    // The list is of another job: what is not there is not needed.
                }
            }
        } catch (IOException e) {
            // Then nothing is loaded ahead. Whoever named the file saw that it is there.
        }
        return loaded;
    }
}
