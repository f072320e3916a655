/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.HighAvailabilityOptions;
import org.apache.flink.configuration.IllegalConfigurationException;

import java.net.URI;
import java.net.URISyntaxException;
import java.time.Duration;

/**
 * The adapter's configuration, read once and checked: whoever holds one can rely on it.
 *
 * <p>Reads with {@code get(ConfigOption)} and {@code getOptional} only. The {@code getString(option, default)} family was
 * removed in Flink 2.0 and would fail there with a {@code NoSuchMethodError}.
 */
final class AdapterConfig {

    final URI sidecarUrl;
    final URI leadersUrl;
    final long connectTimeoutMs;
    final long requestTimeoutMs;
    final long addDeadlineMs;
    final long recoveryDeadlineMs;
    final String clusterId;

    private AdapterConfig(Configuration configuration) {
        sidecarUrl = url(configuration, HoldfastOptions.URL);
        leadersUrl =
                configuration.getOptional(HoldfastOptions.LEADERS_URL).isPresent()
                        ? url(configuration, HoldfastOptions.LEADERS_URL)
                        : sidecarUrl;
        connectTimeoutMs = positiveMs(configuration, HoldfastOptions.CONNECT_TIMEOUT);
        requestTimeoutMs = positiveMs(configuration, HoldfastOptions.REQUEST_TIMEOUT);
        addDeadlineMs = atLeast(configuration, HoldfastOptions.ADD_DEADLINE, HoldfastOptions.REQUEST_TIMEOUT);
        recoveryDeadlineMs =
                atLeast(configuration, HoldfastOptions.RECOVERY_DEADLINE, HoldfastOptions.REQUEST_TIMEOUT);
        clusterId = configuration.get(HighAvailabilityOptions.HA_CLUSTER_ID);
    }

    static AdapterConfig from(Configuration configuration) {
        return new AdapterConfig(configuration);
    }

    private static URI url(Configuration configuration, ConfigOption<String> option) {
        String value = configuration.get(option);
        String allowed = "allowed is http://HOST:PORT without user, path and query";
        try {
            URI uri = new URI(value);
            boolean plain =
                    "http".equals(uri.getScheme())
                            && uri.getHost() != null
                            // A password in a URL would end up in a log.
                            && uri.getUserInfo() == null
                            && uri.getQuery() == null
                            && uri.getFragment() == null
                            && (uri.getPath().isEmpty() || uri.getPath().equals("/"));
            if (plain) {
                return new URI("http", null, uri.getHost(), uri.getPort(), null, null, null);
            }
        } catch (URISyntaxException e) {
            throw new IllegalConfigurationException(option.key() + ": '" + value + "' is not a URL; " + allowed, e);
        }
        throw new IllegalConfigurationException(option.key() + ": '" + value + "' cannot be used; " + allowed);
    }

    private static long positiveMs(Configuration configuration, ConfigOption<Duration> option) {
        String allowed = "allowed is a duration of at least 1 ms, for example '5 s'";
        Duration value;
        try {
            value = configuration.get(option);
        } catch (IllegalArgumentException e) {
            throw new IllegalConfigurationException(option.key() + ": " + e.getMessage() + "; " + allowed, e);
        }
        if (value.toMillis() < 1) {
            throw new IllegalConfigurationException(option.key() + ": '" + value.toMillis() + " ms'; " + allowed);
        }
        return value.toMillis();
    }

    private static long atLeast(
            Configuration configuration, ConfigOption<Duration> option, ConfigOption<Duration> lowest) {
        long valueMs = positiveMs(configuration, option);
        long lowestMs = positiveMs(configuration, lowest);
        if (valueMs < lowestMs) {
            throw new IllegalConfigurationException(
                    String.format(
                            "%s: '%d ms'; allowed is at least %s, which is %d ms",
                            option.key(), valueMs, lowest.key(), lowestMs));
        }
        return valueMs;
    }
}
