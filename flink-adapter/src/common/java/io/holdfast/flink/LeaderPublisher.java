/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.runtime.leaderelection.LeaderInformation;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/**
 * Publishes the addresses of this leader's components behind Flink's back: the callers change a map in memory, a daemon
 * thread sends the whole map until the sidecar has it. Only the latest map is ever sent, so there is no queue.
 *
 * <p>It sends the map again every now and then, unasked: the sidecar keeps it in memory only, and an attempt that timed
 * out may arrive after its successor.
 */
final class LeaderPublisher implements AutoCloseable {

    private static final Logger LOG = LoggerFactory.getLogger(LeaderPublisher.class);
    private static final long REFRESH_MS = 30_000;
    private static final long FIRST_PAUSE_MS = 100;
    private static final long LONGEST_PAUSE_MS = 2_000;

    private final SidecarClient client;
    private final long requestTimeoutMs;
    private final Thread thread = Threads.daemon("holdfast-leader-publisher", this::run);

    /** Guards what follows. Held for moments only: the callers hold the lock of DefaultLeaderElectionService. */
    private final Object lock = new Object();
    private final TreeMap<String, LeaderInformation> desired = new TreeMap<>();
    private long epoch;
    /** Nothing is published unless this process leads, and never under an epoch that was refused. */
    private boolean active;
    private boolean everChanged;
    /** Counts the changes; what is below it was not sent yet. */
    private long version;
    private long sentVersion;
    private long settledAtNs = System.nanoTime();
    private boolean closed;

    /** Used by the thread only: a sidecar that is away is said once, not with every attempt. */
    private boolean failing;

    LeaderPublisher(SidecarClient client, long requestTimeoutMs) {
        this.client = client;
        this.requestTimeoutMs = requestTimeoutMs;
    }

    void start() {
        thread.start();
    }

    /** A new leadership, of which no component is known yet. */
    void begin(long newEpoch) {
        synchronized (lock) {
            desired.clear();
            epoch = newEpoch;
            active = true;
            everChanged = false;
            sentVersion = version;
        }
    }

    /** The addresses stay published: whether and when they are withdrawn is the sidecar's decision. */
    void end() {
        synchronized (lock) {
            desired.clear();
            active = false;
        }
    }

    void publish(String componentId, LeaderInformation information) {
        synchronized (lock) {
            if (active && !information.equals(desired.put(componentId, information))) {
                changed();
            }
        }
    }

    void withdraw(String componentId) {
        synchronized (lock) {
            if (active && desired.remove(componentId) != null) {
                changed();
            }
        }
    }

    void republish() {
        synchronized (lock) {
            if (active && everChanged) {
                changed();
            }
        }
    }

    private void changed() {
        everChanged = true;
        version++;
        lock.notifyAll();
    }

    private void run() {
        Backoff backoff = new Backoff(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        try {
            while (awaitWork()) {
                if (sendLatest()) {
                    backoff.reset();
                } else {
                    synchronized (lock) {
                        if (!closed) {
                            lock.wait(backoff.nextMs()); // a newer map is sent at once
                        }
                    }
                }
            }
        } catch (InterruptedException e) {
            LOG.debug("The leader publisher was interrupted while it waited", e);
        }
    }

    /** True when there is a map to send, false when this is closed. */
    private boolean awaitWork() throws InterruptedException {
        synchronized (lock) {
            while (!closed) {
                if (active && sentVersion < version) {
                    return true;
                }
                long restMs = REFRESH_MS - TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - settledAtNs);
                if (restMs > 0) {
                    lock.wait(restMs);
                } else {
                    settledAtNs = System.nanoTime();
                    republish();
                }
            }
            return false;
        }
    }

    /** True when nothing is left to do for the map that was sent. */
    private boolean sendLatest() {
        long sending;
        long underEpoch;
        SidecarCall call;
        synchronized (lock) {
            sending = version;
            underEpoch = epoch;
            call = SidecarCall.plain("PUT", "/v1/leaders").with("Holdfast-Epoch", Long.toString(epoch)).json(body());
        }
        try {
            SidecarAnswer answer = client.call(call, requestTimeoutMs);
            if (!answer.definite()) {
                return notYet(answer.problem.toString());
            }
            failing = false;
            settled(answer, sending, underEpoch);
            return true;
        } catch (IOException e) {
            return notYet(e.toString());
        }
    }

    private boolean notYet(String why) {
        if (!failing) {
            LOG.info("The leader's addresses are not published yet, trying until they are: {}", why);
        }
        failing = true;
        return false;
    }

    private void settled(SidecarAnswer answer, long sent, long underEpoch) {
        synchronized (lock) {
            if (epoch != underEpoch) {
                return;
            }
            sentVersion = Math.max(sentVersion, sent);
            settledAtNs = System.nanoTime();
            if (answer.is(Problem.FENCED)) {
                // For good. The revocation is on its way on the session stream.
                active = false;
                LOG.info("The leader's addresses are not published any more: {}", answer.problem);
            } else if (answer.problem != null) {
                LOG.error("The sidecar refused the leader's addresses: {}", answer.problem);
            }
        }
    }

    private ObjectNode body() {
        ObjectNode body = Json.object();
        ObjectNode leaders = body.putObject("leaders");
        desired.forEach(
                (componentId, information) -> {
                    if (!information.isEmpty()) {
                        leaders.putObject(componentId)
                                .put("session", information.getLeaderSessionID().toString())
                                .put("address", information.getLeaderAddress());
                    }
                });
        return body;
    }

    @Override
    public void close() {
        synchronized (lock) {
            closed = true;
            active = false;
            lock.notifyAll();
        }
    }
}
