/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.configuration.Configuration;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** When the launcher runs the job's {@code main()}, and how. */
class HoldfastMainTest {

    private static final List<List<String>> CALLS = new ArrayList<>();
    private static Throwable failure;

    /** The job's own class; need not be public. */
    static final class Program {
        private Program() {}

        public static void main(String[] args) throws Throwable {
            CALLS.add(Arrays.asList(args));
            if (failure != null) {
                throw failure;
            }
        }
    }

    private final List<String> started = new ArrayList<>();
    private final Configuration configuration = new Configuration();
    private RecoveredGraphs recovered;

    @BeforeEach
    void lead() {
        CALLS.clear();
        failure = null;
        recovered = RecoveredGraphs.begin(configuration, started::add);
    }

    @AfterEach
    void end() {
        recovered.end();
    }

    private static void launch(String... more) throws Exception {
        List<String> args = new ArrayList<>(List.of(HoldfastMain.MAIN_CLASS_ARGUMENT, Program.class.getName()));
        args.addAll(List.of(more));
        HoldfastMain.main(args.toArray(new String[0]));
    }

    @Test
    void withoutAStoredGraphMainRunsWithItsOwnArguments() throws Exception {
        launch("--rate", "5");
        assertEquals(List.of(List.of("--rate", "5")), CALLS);
        assertEquals(List.of(), started);
    }

    @Test
    void theClassCanBeConfigured() throws Exception {
        configuration.set(HoldfastOptions.MAIN_CLASS, Program.class.getName());
        HoldfastMain.main(new String[] {"--rate", "5"});
        assertEquals(List.of(List.of("--rate", "5")), CALLS);
    }

    /** Under the name in the graph: on Flink 2.3 another name is another job. */
    @Test
    void aStoredGraphIsRunInsteadOfMain() throws Exception {
        recovered.handed("00", "orders");
        launch();
        assertEquals(List.of(), CALLS);
        assertEquals(List.of("orders"), started);
    }

    @Test
    void severalJobsNeedTheirOwnMain() throws Exception {
        recovered.handed("00", "orders");
        recovered.handed("01", "payments");
        launch();
        assertEquals(1, CALLS.size());
    }

    /** What counts is what Flink was handed under this leadership, and not under the one before. */
    @Test
    void everyLeadershipOfAProcessBeginsWithItsOwnRecovery() throws Exception {
        recovered.handed("00", "orders");
        launch();
        recovered = RecoveredGraphs.begin(configuration, started::add);
        launch();
        assertEquals(1, CALLS.size(), "the graph was dropped meanwhile");
        recovered = RecoveredGraphs.begin(configuration, started::add);
        recovered.handed("00", "orders");
        launch();
        assertEquals(1, CALLS.size());
        assertEquals(List.of("orders", "orders"), started);
    }

    /** Flink decides by the types of exceptions, for example that of a job that ended already. */
    @Test
    void whatMainThrowsIsThrownAsItIs() {
        failure = new IOException("the catalog does not answer");
        assertSame(failure, assertThrows(IOException.class, HoldfastMainTest::launch));
        failure = new LinkageError("a class is missing");
        assertSame(failure, assertThrows(LinkageError.class, HoldfastMainTest::launch));
    }

    @Test
    void withoutHoldfastServicesMainRuns() throws Exception {
        recovered.end();
        launch("a");
        assertEquals(List.of(List.of("a")), CALLS);
    }

    @Test
    void aClassThatIsNotThereOrNoProgramIsRefusedWithTheWayOut() {
        for (String[] args :
                List.of(
                        new String[0],
                        new String[] {HoldfastMain.MAIN_CLASS_ARGUMENT},
                        new String[] {HoldfastMain.MAIN_CLASS_ARGUMENT, HoldfastMain.class.getName()})) {
            IllegalArgumentException refused =
                    assertThrows(IllegalArgumentException.class, () -> HoldfastMain.main(args));
            assertTrue(refused.getMessage().contains("holdfast.main-class"), refused.getMessage());
        }
        assertThrows(
                IllegalArgumentException.class,
                () -> HoldfastMain.main(new String[] {HoldfastMain.MAIN_CLASS_ARGUMENT, "java.lang.String"}));
        assertThrows(
                ClassNotFoundException.class,
                () -> HoldfastMain.main(new String[] {HoldfastMain.MAIN_CLASS_ARGUMENT, "no.such.Class"}));
    }
}
