/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.configuration.Configuration;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What two processes have to have in common so that one uses the graph of the other. */
class FingerprintTest {

    private static final String STANDALONE =
            "org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint";

    @TempDir Path directory;

    private final Configuration configuration = new Configuration();
    private List<String> words;
    private String flinkVersion = "2.2.1";

    @BeforeEach
    void given() throws Exception {
        configuration.setString("parallelism.default", "2");
        configuration.setString("high-availability.cluster-id", "orders");
        words = List.of(STANDALONE, "--configDir", "/opt/flink/conf", "--job-classname", "org.Orders", "--rate", "5");
        configuration.setString("pipeline.jars", jar("a", "orders.jar", "code").toUri().toString());
    }

    private Path jar(String subdirectory, String name, String content) throws Exception {
        Path jar = Files.createDirectories(directory.resolve(subdirectory)).resolve(name);
        return Files.writeString(jar, content);
    }

    private String found() {
        return new FingerprintSource(configuration, words, flinkVersion).find().toString();
    }

    private List<String> differencesAfter(Change change) throws Exception {
        String before = found();
        change.make();
        return new FingerprintSource(configuration, words, flinkVersion).find().differencesFrom(before);
    }

    private interface Change {
        void make() throws Exception;
    }

    private Change words(String... more) {
        return () -> words = List.of(more);
    }

    private Change set(String key, String value) {
        return () -> configuration.setString(key, value);
    }

    @Test
    void aProcessThatLoadsItsClassesAheadMakesTheSameGraphs() throws Exception {
        List<String> ahead = new ArrayList<>(List.of(ClassesAhead.class.getName()));
        ahead.addAll(words);
        assertEquals(List.of(), differencesAfter(() -> words = ahead));
    }

    @Test
    void itIsShortVisibleAsciiWithoutAnyValueOfTheConfiguration() throws Exception {
        configuration.setString("pipeline.global-job-parameters", "password:s3cr3t");
        assertTrue(found().matches("[!-~]{1,256}"), found());
        assertTrue(found().startsWith("flink=2.2.1,program="), found());
        assertTrue(!found().contains("s3cr3t"), found());
    }

    @Test
    void whatDiffersBetweenTwoPodsOfOneRolloutDoesNotCount() throws Exception {
        for (String key :
                List.of(
                        "jobmanager.rpc.address",
                        "rest.port",
                        "io.tmp.dirs",
                        "state.backend.rocksdb.localdir",
                        "high-availability.storageDir",
                        "execution.state-recovery.path",
                        "execution.savepoint.path",
                        "$internal.deployment.config-dir")) {
            assertEquals(List.of(), differencesAfter(set(key, "10.0.0.7")), key);
        }
        assertEquals(
                List.of(),
                differencesAfter(
                        words(
                                STANDALONE,
                                "-D",
                                "rest.port=1",
                                "-Drest.port=2",
                                "--configDir=/elsewhere",
                                "--fromSavepoint",
                                "s3://bucket/savepoint",
                                "--allowNonRestoredState",
                                "--job-classname",
                                "org.Orders",
                                "--rate",
                                "5")));
    }

    @Test
    void aHostIsAnOptionOfTheEntrypointUntilFlink1AndTheProgramsFromFlink2On() throws Exception {
        Change otherHost =
                words(STANDALONE, "--host", "10.0.0.7", "--job-classname", "org.Orders", "--rate", "5");
        assertEquals(List.of("program"), differencesAfter(otherHost));
        flinkVersion = "1.20.5";
        given();
        assertEquals(List.of(), differencesAfter(otherHost));
    }

    @Test
    void theSameJarsInAnotherPlaceAndOrderAreTheSame() throws Exception {
        String first = jar("a", "orders.jar", "code").toUri().toString();
        String second = jar("a", "library.jar", "more").toUri().toString();
        configuration.setString("pipeline.jars", first + ";" + second);
        String moved =
                jar("b", "library.jar", "more").toUri() + ";" + jar("b", "orders.jar", "code").toUri();
        assertEquals(List.of(), differencesAfter(set("pipeline.jars", moved)));
    }

    @Test
    void everyPartIsNamedWhenItDiffers() throws Exception {
        assertEquals(List.of("configuration"), differencesAfter(set("parallelism.default", "4")));
        assertEquals(List.of("configuration"), differencesAfter(set("execution.checkpointing.interval", "10 s")));
        assertEquals(List.of("configuration"), differencesAfter(set("restart-strategy.type", "none")));
        assertEquals(List.of("jars"), differencesAfter(() -> jar("a", "orders.jar", "c0de")));
        assertEquals(List.of("given"), differencesAfter(set("holdfast.fingerprint", "sha256:1")));
        assertEquals(List.of("flink"), differencesAfter(() -> flinkVersion = "2.2.2"));
        List<String> more = new ArrayList<>(words);
        more.set(more.size() - 1, "6");
        assertEquals(List.of("program"), differencesAfter(() -> words = more));
    }

    /** As the Kubernetes entrypoint has it; nothing of its own command line counts. */
    @Test
    void theProgramCanBeInTheConfiguration() throws Exception {
        words = List.of("org.apache.flink.kubernetes.entrypoint.KubernetesApplicationClusterEntrypoint", "-D", "a=b");
        assertEquals(List.of("program"), differencesAfter(set("$internal.application.main", "org.Orders")));
        assertEquals(List.of("program"), differencesAfter(set("$internal.application.program-args", "--rate;5")));
        assertEquals(List.of(), differencesAfter(words(words.get(0), "-D", "c=d")));
    }

    @Test
    void theJobClassIsReadWhereverItStands() {
        for (List<String> form :
                List.of(
                        List.of(STANDALONE, "-c", "/conf", "--job-classname", "org.Orders", "argument"),
                        List.of(STANDALONE, "-j", "org.Orders"),
                        List.of(STANDALONE, "-Da=b", "--job-classname=org.Orders", "argument"))) {
            assertEquals("org.Orders", CommandLine.of(form, "2.2.1").jobClass, form.toString());
        }
        CommandLine line =
                CommandLine.of(List.of(STANDALONE, "-j", "org.Orders", "in", "-D", "kept", "--host", "x"), "1.20.5");
        assertEquals("org.Orders", line.jobClass);
        assertEquals(List.of("-j", "org.Orders", "in", "-D", "kept", "--host", "x"), line.program);
    }

    @Test
    void aJarThatHoldsTheJobClassCountsAlsoWhenItLiesInLib() throws Exception {
        // JUnit's own class stands for a job whose jar is on the system class path.
        assertEquals(List.of("program", "jars"), differencesAfter(set("holdfast.main-class", Test.class.getName())));
    }

    @Test
    void aJarThatIsNotThereDoesNotCountLikeAnEmptyList() throws Exception {
        assertEquals(List.of("jars"), differencesAfter(set("pipeline.jars", directory.resolve("gone.jar").toString())));
        assertEquals(List.of("jars"), differencesAfter(set("pipeline.jars", "s3://bucket/orders.jar")));
    }

    @Test
    void partsThatOnlyOneSideKnowsAreDifferences() {
        Fingerprint one = Fingerprint.of(Map.of("flink", "2.2.1"));
        assertEquals(List.of("image"), one.differencesFrom("flink=2.2.1,image=x"));
        assertEquals(List.of("flink", "something"), one.differencesFrom("something"));
    }
}
