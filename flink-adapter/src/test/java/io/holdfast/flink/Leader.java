/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.configuration.Configuration;

import java.util.UUID;

/** A process that was granted leadership by a sidecar, with all that the stores need. */
final class Leader implements AutoCloseable {

    /** The end of the process, for a test. */
    static final class ProcessEnded extends Error {
        private static final long serialVersionUID = 1L;

        ProcessEnded(String reason, Throwable cause) {
            super(reason, cause);
        }
    }

    static final ProcessExit EXIT =
            (reason, cause) -> {
                throw new ProcessEnded(reason, cause);
            };

    final AdapterConfig config;
    final SidecarClient client;
    final LeadershipEpoch epoch = new LeadershipEpoch();
    final RecordingListener listener = new RecordingListener();
    final HoldfastElectionDriver driver;
    final DurableCalls calls;

    private Leader(AdapterConfig config) {
        this.config = config;
        this.client = new SidecarClient(config.sidecarUrl, config.connectTimeoutMs);
        this.calls = new DurableCalls(client, config, EXIT);
        this.driver = new HoldfastElectionDriver(client, config, UUID.randomUUID().toString(), epoch, listener);
    }

    static Leader granted(Sidecar sidecar) throws Exception {
        Leader leader = new Leader(sidecar.config());
        Await.until("granted leadership", leader.listener::isGranted);
        return leader;
    }

    /** The same calls through another address, for example that of a {@link FaultProxy}. */
    DurableCalls callsThrough(String url) {
        return calls(Sidecar.configuration(url));
    }

    /** The same with limits whose end a test can wait for. */
    DurableCalls impatientCallsThrough(String url) {
        return calls(Sidecar.impatient(url));
    }

    static DurableCalls calls(Configuration configuration) {
        AdapterConfig config = AdapterConfig.from(configuration);
        return new DurableCalls(new SidecarClient(config.sidecarUrl, config.connectTimeoutMs), config, EXIT);
    }

    @Override
    public void close() throws Exception {
        driver.close();
        client.close();
    }
}
