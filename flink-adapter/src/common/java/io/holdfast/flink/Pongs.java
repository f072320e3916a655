/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;

/**
 * Answers the sidecar's pings, so that a process which is frozen can be told from one which is alive: its connection stays
 * open either way. On a thread of its own, because the stream's must be free for what comes next.
 *
 * <p>A pong that does not arrive is not repeated: the next ping is 2 s away, and several must stay unanswered before anybody
 * acts on it.
 */
final class Pongs implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(Pongs.class);
    /** No longer than until the next ping. */
    private static final long TIMEOUT_MS = 2_000;

    private final SidecarClient client;
    private final Thread thread = Threads.daemon("holdfast-pongs", this::run);

    private final Object lock = new Object();
    /** The session that was pinged; null when its last ping was answered. */
    private String pinged;
    private boolean closed;

    Pongs(SidecarClient client) {
        this.client = client;
    }

    void start() {
        thread.start();
    }

    void pinged(String session) {
        synchronized (lock) {
            pinged = session;
            lock.notifyAll();
        }
    }

    private void run() {
        try {
            for (String session = next(); session != null; session = next()) {
                answer(session);
            }
        } catch (InterruptedException e) {
            LOG.debug("The answering of pings was interrupted", e);
        }
    }

    private String next() throws InterruptedException {
        synchronized (lock) {
            while (pinged == null && !closed) {
                lock.wait();
            }
            String session = closed ? null : pinged;
            pinged = null;
            return session;
        }
    }

    private void answer(String session) {
        try {
            client.call(SidecarCall.plain("POST", "/v1/sessions/" + session + "/pong"), TIMEOUT_MS);
        } catch (IOException e) {
            LOG.debug("A ping of session {} was not answered", session, e);
        }
    }

    @Override
    public void close() {
        synchronized (lock) {
            closed = true;
            lock.notifyAll();
        }
    }
}
