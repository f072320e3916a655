/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.runtime.state.RetrievableStateHandle;

import java.io.IOException;
import java.io.Serializable;

/** A handle to something that the sidecar keeps. Discarding it does nothing: removals are asked for by name. */
final class StoredState<T extends Serializable> implements RetrievableStateHandle<T> {
    private static final long serialVersionUID = 1L;

    /** Makes the object; may be asked more than once. */
    interface Source<T> extends Serializable {
        T retrieve() throws IOException, ClassNotFoundException;
    }

    /** Handles never leave the process that made them. */
    private final transient Source<T> source;
    private final long sizeBytes;

    StoredState(long sizeBytes, Source<T> source) {
        this.source = source;
        this.sizeBytes = sizeBytes;
    }

    @Override
    public T retrieveState() throws IOException, ClassNotFoundException {
        return source.retrieve();
    }

    @Override
    public void discardState() {}

    @Override
    public long getStateSize() {
        return sizeBytes;
    }
}
