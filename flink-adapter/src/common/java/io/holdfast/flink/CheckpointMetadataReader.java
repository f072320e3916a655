/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.api.common.JobID;
import org.apache.flink.core.fs.UnsupportedFileSystemSchemeException;
import org.apache.flink.runtime.checkpoint.Checkpoints;
import org.apache.flink.runtime.checkpoint.CompletedCheckpoint;
import org.apache.flink.runtime.checkpoint.OperatorState;
import org.apache.flink.runtime.checkpoint.metadata.CheckpointMetadata;
import org.apache.flink.runtime.jobgraph.OperatorID;
import org.apache.flink.runtime.state.CompletedCheckpointStorageLocation;
import org.apache.flink.runtime.state.filesystem.AbstractFsCheckpointStorageAccess;
import org.apache.flink.util.ExceptionUtils;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.FileNotFoundException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.NoSuchFileException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Rebuilds a CompletedCheckpoint out of its pointer and its {@code _metadata}.
 *
 * <p>A file that is missing or that does not parse is an error at once, and is never skipped: restoring an older
 * checkpoint instead would silently repeat what was committed since (FLINK-22502). A storage that does not answer is
 * waited for, because an exception here can end the job for good (see {@link DurableCalls#needed}).
 */
final class CheckpointMetadataReader {

    private static final Logger LOG = LoggerFactory.getLogger(CheckpointMetadataReader.class);
    private static final long FIRST_PAUSE_MS = 200;
    private static final long LONGEST_PAUSE_MS = 5_000;
    private static final List<Class<? extends IOException>> LASTING =
            List.of(FileNotFoundException.class, NoSuchFileException.class, UnsupportedFileSystemSchemeException.class);

    private final JobID jobId;
    private final long deadlineMs;
    private final ProcessExit exit;

    CheckpointMetadataReader(JobID jobId, long deadlineMs, ProcessExit exit) {
        this.jobId = jobId;
        this.deadlineMs = deadlineMs;
        this.exit = exit;
    }

    CompletedCheckpoint rebuild(long checkpointId, PointerRecord pointer) throws IOException {
        return patiently(pointer.externalPointer, () -> read(checkpointId, pointer));
    }

    /**
     * Returns when the {@code _metadata} of a snapshot can be read. Flink reads it right after, once, and marks the job as
     * FAILED for good when that fails.
     *
     * @throws IOException it is missing or broken
     */
    void awaitReadable(String externalPointer) throws IOException {
        patiently(externalPointer, () -> load(resolve(externalPointer), externalPointer));
    }

    private interface Reading<R> {
        R now() throws IOException, StorageFailure;
    }

    private <R> R patiently(String externalPointer, Reading<R> reading) throws IOException {
        long deadlineNs = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(deadlineMs);
        Backoff backoff = new Backoff(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        while (true) {
            try {
                return reading.now();
            } catch (StorageFailure e) {
                if (System.nanoTime() > deadlineNs) {
                    throw exit.end(externalPointer + " could not be read for " + deadlineMs + " ms", e.getCause());
                }
                LOG.warn("Cannot read {} now, trying again: {}", externalPointer, e.getCause().toString());
                Attempts.pause(backoff.nextMs());
            }
        }
    }

    private CompletedCheckpoint read(long checkpointId, PointerRecord pointer) throws IOException, StorageFailure {
        CompletedCheckpointStorageLocation location = resolve(pointer.externalPointer);
        CheckpointMetadata metadata = load(location, pointer.externalPointer);
        if (metadata.getCheckpointId() != checkpointId) {
            throw new IOException(
                    String.format(
                            "%s holds checkpoint %d and not %d",
                            pointer.externalPointer, metadata.getCheckpointId(), checkpointId));
        }
        Map<OperatorID, OperatorState> operatorStates = new HashMap<>();
        metadata.getOperatorStates().forEach(state -> operatorStates.put(state.getOperatorID(), state));
        return new CompletedCheckpoint(
                jobId,
                checkpointId,
                pointer.triggerTimestampMs,
                pointer.completionTimestampMs,
                operatorStates,
                metadata.getMasterStates(),
                pointer.properties,
                location,
                null, // the statistics are not kept
                pointer.restoredProperties);
    }

    private static CompletedCheckpointStorageLocation resolve(String pointer) throws IOException, StorageFailure {
        try {
            return AbstractFsCheckpointStorageAccess.resolveCheckpointPointer(pointer);
        } catch (IOException e) {
            throw passing(e);
        }
    }

    private static CheckpointMetadata load(CompletedCheckpointStorageLocation location, String pointer)
            throws IOException, StorageFailure {
        try (StorageStream storage = open(location);
                DataInputStream in = new DataInputStream(new BufferedInputStream(storage))) {
            try {
                return Checkpoints.loadCheckpointMetadata(
                        in, Thread.currentThread().getContextClassLoader(), pointer);
            } catch (IOException e) {
                if (storage.failure != null) {
                    throw passing(storage.failure);
                }
                throw e;
            }
        }
    }

    private static StorageStream open(CompletedCheckpointStorageLocation location)
            throws IOException, StorageFailure {
        try {
            return new StorageStream(location.getMetadataHandle().openInputStream());
        } catch (IOException e) {
            throw passing(e);
        }
    }

    /** Tells what will not pass, which is thrown on, from what may. */
    private static StorageFailure passing(IOException e) throws IOException {
        for (Class<? extends IOException> lasting : LASTING) {
            if (ExceptionUtils.findThrowable(e, lasting).isPresent()) {
                throw e;
            }
        }
        return new StorageFailure(e);
    }

    /** The storage did not answer properly; the cause says how. */
    private static final class StorageFailure extends Exception {
        private static final long serialVersionUID = 1L;

        StorageFailure(IOException cause) {
            super(cause);
        }
    }

    /** Remembers a failure of the storage: the parser's exceptions have the same type. */
    private static final class StorageStream extends FilterInputStream {

        private IOException failure;

        StorageStream(InputStream storage) {
            super(storage);
        }

        @Override
        public int read() throws IOException {
            try {
                return super.read();
            } catch (IOException e) {
                failure = e;
                throw e;
            }
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            try {
                return super.read(buffer, offset, length);
            } catch (IOException e) {
                failure = e;
                throw e;
            }
        }
    }
}
