/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/**
 * What this process was started with, as far as a job is made from it. The standalone application entrypoint gets the job
 * class and the program's arguments there and puts them into no configuration; every other entrypoint has them in the
 * configuration, and nothing is taken from its command line.
 */
final class CommandLine {

    private static final Logger LOG = LoggerFactory.getLogger(CommandLine.class);
    private static final String STANDALONE =
            "org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint";

    private static final String AHEAD = ClassesAhead.class.getName();

    /** Options with a value that shape no graph: places, what is in the configuration as well, what is restored. */
    private static final Set<String> LEFT_OUT =
            Set.of("-c", "--configDir", "-D", "-s", "--fromSavepoint", "-rm", "--restoreMode", "-claimMode", "--claimMode");
    /** The same of Flink 1 only; in Flink 2 these begin the program's own arguments. */
    private static final Set<String> LEFT_OUT_BEFORE_2 =
            Set.of("-x", "--executionMode", "-r", "--webui-port", "-h", "--host");
    private static final Set<String> LEFT_OUT_FLAGS = Set.of("-n", "--allowNonRestoredState");
    private static final Set<String> KEPT =
            Set.of("-j", "--job-classname", "-jid", "--job-id", "-jars", "--jars");
    private static final Set<String> JOB_CLASS = Set.of("-j", "--job-classname");

    /** What is left, in order: the options that are kept with their values, and the program's arguments. */
    final List<String> program = new ArrayList<>();
    /** The value of {@code --job-classname}; empty when it was not given. */
    String jobClass = "";

    private CommandLine() {}

    /** @param words the main class and what follows it */
    static CommandLine of(List<String> words, String flinkVersion) {
        CommandLine line = new CommandLine();
        // A process that `holdfast exec` started makes the same graphs as one that Flink's scripts started.
        List<String> flinks = !words.isEmpty() && words.get(0).equals(AHEAD) ? words.subList(1, words.size()) : words;
        if (!flinks.isEmpty() && flinks.get(0).equals(STANDALONE)) {
            line.read(flinks, flinkVersion.startsWith("1."));
        }
        return line;
    }

    private void read(List<String> words, boolean before2) {
        int next = 1;
        while (next < words.size()) {
            String word = words.get(next);
            String name = word.startsWith("--") && word.contains("=") ? word.substring(0, word.indexOf('=')) : word;
            int length = name.equals(word) ? 2 : 1;
            if (LEFT_OUT_FLAGS.contains(name) || (word.startsWith("-D") && word.length() > 2)) {
                next += 1;
            } else if (LEFT_OUT.contains(name) || (before2 && LEFT_OUT_BEFORE_2.contains(name))) {
                next += length;
            } else if (KEPT.contains(name)) {
                List<String> kept = words.subList(next, Math.min(next + length, words.size()));
                program.addAll(kept);
                if (JOB_CLASS.contains(name)) {
                    jobClass = length == 1 ? word.substring(name.length() + 1) : kept.get(kept.size() - 1);
                }
                next += length;
            } else {
                // Flink stops here too: everything that follows belongs to the program.
                program.addAll(words.subList(next, words.size()));
                return;
            }
        }
    }

    /** The main class of this process and its arguments; split at blanks where the system does not tell more. */
    static List<String> ofThisProcess() {
        String command = System.getProperty("sun.java.command", "");
        List<String> split = Arrays.asList(command.trim().split("\\s+"));
        try {
            Path system = Path.of("/proc/self/cmdline");
            if (Files.isReadable(system)) {
                String raw = new String(Files.readAllBytes(system), StandardCharsets.UTF_8);
                List<String> words = Arrays.asList(raw.split("\0"));
                int main = words.indexOf(split.get(0));
                if (main >= 0) {
                    return words.subList(main, words.size());
                }
            }
        } catch (IOException e) {
            LOG.debug("The command line is taken from the JVM, without its quotes", e);
        }
        return split;
    }
}
