/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.runtime.jobgraph.SavepointRestoreSettings;

/**
 * What the adapter reads and sets in a graph; the types differ between Flink's generations. It never copies a graph: what
 * is set is seen by whoever holds the same object.
 *
 * @param <T> JobGraph or ExecutionPlan
 */
interface GraphKind<T> {

    /** The job's name, as its {@code execute()} gave it. */
    String nameOf(T graph);

    SavepointRestoreSettings settingsOf(T graph);

    void restoreWith(T graph, SavepointRestoreSettings settings);

    /**
     * Settings that restore from a path.
     *
     * @param claimMode {@code CLAIM} or {@code NO_CLAIM}
     * @throws IllegalArgumentException this Flink has no such claim mode
     */
    SavepointRestoreSettings forPath(String externalPointer, boolean allowNonRestoredState, String claimMode);
}
