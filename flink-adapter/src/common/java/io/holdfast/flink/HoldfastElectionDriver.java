/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.runtime.leaderelection.LeaderElectionDriver;
import org.apache.flink.runtime.leaderelection.LeaderInformation;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One JobManager session with the sidecar. The open stream is the proof that this process lives; what arrives on it is
 * leadership.
 *
 * <p>{@link #hasLeadership}, {@link #publishLeaderInformation} and {@link #deleteLeaderInformation} are called while
 * DefaultLeaderElectionService holds its lock, so they only touch memory. Its listener methods take the same lock, so
 * they are never called while a lock is held that those three need.
 */
final class HoldfastElectionDriver implements LeaderElectionDriver {

    private static final Logger LOG = LoggerFactory.getLogger(HoldfastElectionDriver.class);
    /** For the farewell; the end of the connection says the same. */
    private static final long CLOSE_MS = 1_000;
    /** Flink waits for close(): a listener that hangs must not make it hang. */
    private static final long CLOSE_LOCK_MS = 5_000;

    private final SidecarClient client;
    private final AdapterConfig config;
    private final String process;
    private final LeadershipEpoch epoch;
    private final Listener listener;
    private final LeaderPublisher publisher;
    private final Pongs pongs;
    private final HeldStream stream;

    /** Guards the state and orders the calls of the listener; taken by the stream's thread and by close() only. */
    private final ReentrantLock eventLock = new ReentrantLock();
    private final ElectionState state = new ElectionState();
    private volatile boolean closed;
    private volatile boolean leading;

    /** @param process tells this process from others; the same for every driver of one process */
    HoldfastElectionDriver(
            SidecarClient client, AdapterConfig config, String process, LeadershipEpoch epoch, Listener listener) {
        this.client = client;
        this.config = config;
        this.process = process;
        this.epoch = epoch;
        this.listener = listener;
        this.publisher = new LeaderPublisher(client, config.requestTimeoutMs);
        this.pongs = new Pongs(client);
        this.stream =
                new HeldStream(
                        "session with the sidecar", () -> client, this::opening, new Events(), config.requestTimeoutMs);
        publisher.start();
        pongs.start();
        stream.start();
    }

    @Override
    public boolean hasLeadership() {
        return leading;
    }

    @Override
    public void publishLeaderInformation(String componentId, LeaderInformation information) {
        publisher.publish(componentId, information);
    }

    @Override
    public void deleteLeaderInformation(String componentId) {
        publisher.withdraw(componentId);
    }

    private SidecarCall opening() {
        ObjectNode body =
                Json.object()
                        .put("process", process)
                        .put("flink_version", EnvironmentInformation.getVersion())
                        .put("cluster_id", config.clusterId)
                        .put("answers_pings", true);
        eventLock.lock();
        try {
            if (state.resumableEpoch() != 0) {
                body.putObject("resume").put("session", state.session()).put("epoch", state.resumableEpoch());
            } else if (state.session() != null) {
                body.put("waited", true);
            }
        } finally {
            eventLock.unlock();
        }
        return SidecarCall.plain("POST", "/v1/sessions").json(body);
    }

    private final class Events implements HeldStream.Handler {

        @Override
        public void onEvent(JsonNode event) throws IOException {
            eventLock.lock();
            try {
                if (!closed) {
                    carryOut(step(event));
                }
            } catch (RuntimeException e) {
                // Flink's leadership and ours are not the same any more; only a new process makes them so.
                listener.onError(e);
                throw e;
            } finally {
                eventLock.unlock();
            }
        }

        @Override
        public void onBroken() {
            eventLock.lock();
            try {
                state.onBroken();
            } finally {
                eventLock.unlock();
            }
        }
    }

    private List<ElectionState.Action> step(JsonNode event) throws IOException {
        switch (Json.text(event, "event")) {
            case "session":
                state.onSession(Json.text(event, "session"));
                return List.of();
            case "waiting":
                LOG.info("Not granted leadership yet: {}", event.path("reason").asText("no reason given"));
                Rehearsal.onWaiting(() -> !leading && !closed);
                return List.of();
            case "grant":
                boolean resumed = event.path("resumed").asBoolean(false);
                LOG.info("Granted leadership under epoch {}{}", event.path("epoch"), resumed ? ", resumed" : "");
                return state.onGrant(Json.number(event, "epoch"), resumed);
            case "revoke":
                LOG.info(
                        "Leadership under epoch {} is revoked: {} {}",
                        event.path("epoch"),
                        event.path("reason").asText(),
                        event.path("detail").asText());
                return state.onRevoke(Json.number(event, "epoch"));
            case "ping":
                pongs.pinged(state.session());
                return List.of();
            default:
                return List.of(); // an event of a newer sidecar
        }
    }

    private void carryOut(List<ElectionState.Action> actions) throws IOException {
        for (ElectionState.Action action : actions) {
            switch (action.kind) {
                case GRANT:
                    epoch.granted(action.epoch);
                    publisher.begin(action.epoch);
                    leading = true;
                    // After that, or it would take its end for a failure.
                    Rehearsal.end();
                    // Fresh each time: it is the fencing token of Flink's RPC.
                    listener.onGrantLeadership(UUID.randomUUID());
                    break;
                case REVOKE:
                    leading = false;
                    publisher.end();
                    listener.onRevokeLeadership();
                    break;
                case REPUBLISH:
                    publisher.republish();
                    break;
                default:
                    throw new IOException("the sidecar granted an epoch that is older than one it granted before");
            }
        }
    }

    /** Returns within about 6 s, with the sidecar up or down. The listener is not called any more. */
    @Override
    public void close() throws InterruptedException {
        closed = true;
        stream.expectEnd();
        publisher.close();
        pongs.close();
        // Whoever has the lock may be calling the listener.
        if (eventLock.tryLock(CLOSE_LOCK_MS, TimeUnit.MILLISECONDS)) {
            try {
                leading = false;
                if (state.session() != null) {
                    farewell(state.session());
                }
            } finally {
                eventLock.unlock();
            }
        } else {
            LOG.warn("A leadership event is being handled for more than {} ms, closing all the same", CLOSE_LOCK_MS);
        }
        leading = false;
        stream.close();
    }

    private void farewell(String session) {
        try {
            client.call(SidecarCall.plain("DELETE", "/v1/sessions/" + session), CLOSE_MS);
        } catch (IOException e) {
            LOG.info("The sidecar was not told that session {} is over; it sees the connection end: {}", session, e.toString());
        }
    }

    @Override
    public String toString() {
        return "the sidecar at " + client.base();
    }
}
