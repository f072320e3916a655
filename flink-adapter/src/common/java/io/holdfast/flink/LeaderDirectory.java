/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.runtime.leaderelection.LeaderInformation;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalDriver;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalEventHandler;
import org.apache.flink.runtime.rpc.FatalErrorHandler;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.function.Supplier;

/**
 * All leader retrievals of one process over one stream. The stream is open while somebody listens.
 *
 * <p>It never reports a failure of its own: a TaskManager whose FatalErrorHandler is called ends, and a sidecar that
 * cannot be reached says nothing about the leader. What is known stays known until it is contradicted.
 */
final class LeaderDirectory {

    private static final Logger LOG = LoggerFactory.getLogger(LeaderDirectory.class);

    private final Supplier<SidecarClient> client;
    private final long headTimeoutMs;

    /** Guards what follows; never held while Flink is called. */
    private final Object lock = new Object();
    private final Set<Retrieval> listening = new HashSet<>();
    /** Those that must be told; a set, so that it is never longer than the listeners are many. */
    private final LinkedHashSet<Retrieval> toTell = new LinkedHashSet<>();
    private HeldStream stream;
    private Thread notifier;
    private LeaderMap newest;

    /** @param client asked before each connection, because a process may turn out to be a JobManager */
    LeaderDirectory(Supplier<SidecarClient> client, long headTimeoutMs) {
        this.client = client;
        this.headTimeoutMs = headTimeoutMs;
    }

    /** Never tells the handler anything on the calling thread. */
    LeaderRetrievalDriver retrieve(
            String component, LeaderRetrievalEventHandler handler, FatalErrorHandler fatalErrorHandler) {
        Retrieval retrieval = new Retrieval(component, handler, fatalErrorHandler);
        synchronized (lock) {
            listening.add(retrieval);
            if (stream == null) {
                open();
            } else if (newest != null) {
                toTell.add(retrieval);
                lock.notifyAll();
            }
        }
        return retrieval;
    }

    private void open() {
        stream =
                new HeldStream(
                        "leader stream",
                        client,
                        () -> SidecarCall.plain("GET", "/v1/leaders/stream"),
                        new Events(),
                        headTimeoutMs);
        notifier = Threads.daemon("holdfast-leader-notifier", this::notifyAllWaiting);
        notifier.start();
        stream.start();
    }

    private final class Events implements HeldStream.Handler {

        @Override
        public void onEvent(JsonNode event) throws IOException {
            if (Json.text(event, "event").equals("leaders")) {
                learn(LeaderMap.parse(event));
            }
        }

        @Override
        public void onBroken() {
            LOG.debug("Keeping the leader's addresses while the stream is broken");
        }
    }

    private void learn(LeaderMap map) {
        synchronized (lock) {
            if (newest != null && map.epoch < newest.epoch) {
                LOG.warn("Ignoring leaders of epoch {}, which is older than {}", map.epoch, newest.epoch);
                return;
            }
            newest = map;
            toTell.addAll(listening); // DefaultLeaderRetrievalService drops what it knows already
            lock.notifyAll();
        }
    }

    private void notifyAllWaiting() {
        try {
            while (true) {
                Retrieval next;
                LeaderInformation information;
                synchronized (lock) {
                    while (toTell.isEmpty()) {
                        if (notifier != Thread.currentThread()) {
                            return;
                        }
                        lock.wait();
                    }
                    next = toTell.iterator().next();
                    toTell.remove(next);
                    information = newest.of(next.component);
                }
                next.tell(information);
            }
        } catch (InterruptedException e) {
            LOG.debug("The leader notifier was interrupted while it waited", e);
        }
    }

    private void forget(Retrieval retrieval) {
        synchronized (lock) {
            toTell.remove(retrieval);
            if (listening.remove(retrieval) && listening.isEmpty()) {
                stream.close();
                stream = null;
                notifier = null; // its sign to end
                lock.notifyAll();
            }
        }
    }

    /** One component's listener. */
    private final class Retrieval implements LeaderRetrievalDriver {

        final String component;
        private final LeaderRetrievalEventHandler handler;
        private final FatalErrorHandler fatalErrorHandler;

        Retrieval(String component, LeaderRetrievalEventHandler handler, FatalErrorHandler fatalErrorHandler) {
            this.component = component;
            this.handler = handler;
            this.fatalErrorHandler = fatalErrorHandler;
        }

        void tell(LeaderInformation information) {
            try {
                handler.notifyLeaderAddress(information);
            } catch (RuntimeException e) {
                // Not a failure of the retrieval: Flink's listener failed, and would never hear of this leader again.
                fatalErrorHandler.onFatalError(e);
            }
        }

        @Override
        public void close() {
            forget(this);
        }

        /** Flink's log lines name the driver by this. */
        @Override
        public String toString() {
            return "the leader stream of " + component;
        }
    }
}
