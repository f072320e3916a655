/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.highavailability.ClientHighAvailabilityServices;
import org.apache.flink.runtime.leaderretrieval.LeaderRetrievalService;

/** For {@code bin/flink} and other clients: where the REST endpoint is, and nothing else. */
final class HoldfastClientHaServices implements ClientHighAvailabilityServices {

    private final SidecarClient publicListener;
    private final LeaderDirectory directory;

    HoldfastClientHaServices(Configuration configuration) {
        AdapterConfig config = AdapterConfig.from(configuration);
        this.publicListener = new SidecarClient(config.leadersUrl, config.connectTimeoutMs);
        this.directory = new LeaderDirectory(() -> publicListener, config.requestTimeoutMs);
    }

    @Override
    public LeaderRetrievalService getClusterRestEndpointLeaderRetriever() {
        return BaseHaServices.retrieval(directory, Components.REST_SERVER);
    }

    @Override
    public void close() {
        publicListener.close();
    }
}
