/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * Keeps one stream of the sidecar open, on a daemon thread of its own, until it is closed: opens it, hands over every
 * event, and opens it again when it broke or fell silent. It waits for a sidecar that is not there for as long as that
 * takes; only closing ends it.
 */
final class HeldStream implements AutoCloseable {

    /** Called on the stream's thread. An exception breaks the connection, which is then opened again. */
    interface Handler {
        void onEvent(JsonNode event) throws IOException;

        /** The connection is gone. Says nothing about what was said on it. */
        void onBroken();
    }

    /** The sidecar pings every 2 s; five of them missing is a dead connection and not a pause. */
    static final long SILENCE_MS = 10_000;

    private static final Logger LOG = LoggerFactory.getLogger(HeldStream.class);
    private static final long FIRST_PAUSE_MS = 100;
    private static final long LONGEST_PAUSE_MS = 2_000;
    private static final long REPEAT_LOG_MS = 60_000;

    private final String name;
    private final Supplier<SidecarClient> client;
    private final Supplier<SidecarCall> opening;
    private final Handler handler;
    private final long headTimeoutMs;
    private final CountDownLatch closed = new CountDownLatch(1);
    private final Thread thread;
    private volatile EventStream current;

    // Used by the thread only.
    private final Backoff backoff = new Backoff(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
    private long brokenSinceNs;
    private long loggedAtNs;

    HeldStream(
            String name,
            Supplier<SidecarClient> client,
            Supplier<SidecarCall> opening,
            Handler handler,
            long headTimeoutMs) {
        this.name = name;
        this.client = client;
        this.opening = opening;
        this.handler = handler;
        this.headTimeoutMs = headTimeoutMs;
        this.thread = Threads.daemon("holdfast-" + name.replace(' ', '-'), this::run);
    }

    void start() {
        thread.start();
    }

    private void run() {
        boolean broken = false;
        try {
            while (closed.getCount() > 0) {
                Exception why = readUntilBroken(broken);
                if (closed.getCount() == 0) {
                    return;
                }
                handler.onBroken();
                report(why, broken && current == null);
                broken = true;
                current = null;
                closed.await(backoff.nextMs(), TimeUnit.MILLISECONDS);
            }
        } catch (InterruptedException e) {
            LOG.debug("The {} was interrupted while it waited", name, e);
        }
    }

    /** Returns why the connection ended; leaves {@link #current} null when there was none. */
    private Exception readUntilBroken(boolean again) throws InterruptedException {
        SidecarClient from = client.get();
        try (EventStream stream = from.open(opening.get(), headTimeoutMs)) {
            current = stream;
            if (closed.getCount() == 0) {
                return null;
            }
            LOG.info("The {} is {} at {}", name, again ? "open again" : "open", from.base());
            while (true) {
                Optional<String> line = stream.next(SILENCE_MS);
                if (line.isEmpty()) {
                    return new IOException("the sidecar ended the stream");
                }
                handler.onEvent(Json.parse(line.get()));
                backoff.reset();
            }
        } catch (IOException | SidecarException | RuntimeException e) {
            return e;
        }
    }

    /** The first failure after a success is said at once, the same state again only once a minute. */
    private void report(Exception why, boolean stillBroken) {
        long nowNs = System.nanoTime();
        if (!stillBroken) {
            brokenSinceNs = nowNs;
            LOG.info("The {} is not open, trying again until it is: {}", name, why.toString());
            LOG.debug("Its failure", why);
        } else if (nowNs - loggedAtNs < TimeUnit.MILLISECONDS.toNanos(REPEAT_LOG_MS)) {
            return;
        } else {
            long sinceS = TimeUnit.NANOSECONDS.toSeconds(nowNs - brokenSinceNs);
            LOG.warn("The {} is not open since {} s, still trying: {}", name, sinceS, why.toString());
        }
        loggedAtNs = nowNs;
    }

    /** The connection stays open, but is not opened again when it ends. */
    void expectEnd() {
        closed.countDown();
    }

    /** Closes the connection and returns at once; the handler may be called once more meanwhile. */
    @Override
    public void close() {
        expectEnd();
        EventStream stream = current;
        if (stream != null) {
            stream.close();
        }
    }
}
