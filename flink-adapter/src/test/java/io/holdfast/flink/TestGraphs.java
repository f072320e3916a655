/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.jobgraph.SavepointRestoreSettings;

import java.util.function.LongSupplier;

/** Stores in which a string stands for a graph. */
final class TestGraphs {

    private TestGraphs() {}

    static GraphStore<String> store(DurableCalls calls, LongSupplier epoch) {
        return store(calls, epoch, null);
    }

    /** @param fingerprint of this process; null when it is unknown */
    static GraphStore<String> store(DurableCalls calls, LongSupplier epoch, Fingerprint fingerprint) {
        return new GraphStore<>(calls, epoch, Strings.INSTANCE, () -> fingerprint, recovered());
    }

    static RecoveredGraphs recovered() {
        return RecoveredGraphs.begin(new Configuration(), name -> {});
    }

    enum Strings implements GraphKind<String> {
        INSTANCE;

        @Override
        public String nameOf(String graph) {
            return graph;
        }

        @Override
        public SavepointRestoreSettings settingsOf(String graph) {
            return SavepointRestoreSettings.none();
        }

        @Override
        public void restoreWith(String graph, SavepointRestoreSettings settings) {}

        @Override
        public SavepointRestoreSettings forPath(
                String externalPointer, boolean allowNonRestoredState, String claimMode) {
            return SavepointRestoreSettings.forPath(externalPointer, allowNonRestoredState);
        }
    }
}
