/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.util.FlinkException;

/**
 * A call that was refused, or that the sidecar certainly did not carry out. Where this is thrown the outcome is known:
 * nothing was recorded.
 *
 * <p>It has never an {@code IOException} in its cause chain, only as suppressed: Flink's CheckpointCoordinator looks for
 * one there, and counts a trigger that failed with it against {@code tolerable-failed-checkpoints}, which restarts the
 * job at its default of 0.
 */
final class SidecarException extends FlinkException {
    private static final long serialVersionUID = 1L;

    /** The last part of the problem's type; empty when there was no answer. */
    private final String problemType;

    SidecarException(String what, Problem problem) {
        super(what + ": " + problem);
        this.problemType = problem.type;
    }

    SidecarException(String what, Throwable failure) {
        super(what + ": " + failure);
        this.problemType = "";
        addSuppressed(failure);
    }

    boolean is(String otherType) {
        return problemType.equals(otherType);
    }
}
