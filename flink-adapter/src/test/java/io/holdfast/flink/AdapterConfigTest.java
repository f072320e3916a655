/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.IllegalConfigurationException;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Map;

class AdapterConfigTest {

    @Test
    void hasTheDocumentedDefaults() {
        AdapterConfig config = AdapterConfig.from(new Configuration());
        assertEquals("http://127.0.0.1:8480", config.sidecarUrl.toString());
        assertEquals("http://127.0.0.1:8480", config.leadersUrl.toString());
        assertEquals(1_000, config.connectTimeoutMs);
        assertEquals(5_000, config.requestTimeoutMs);
        assertEquals(30_000, config.addDeadlineMs);
        assertEquals(300_000, config.recoveryDeadlineMs);
    }

    @Test
    void readsWhatIsSet() {
        AdapterConfig config =
                AdapterConfig.from(
                        Configuration.fromMap(
                                Map.of(
                                        "high-availability.holdfast.url", "http://127.0.0.1:1/",
                                        "high-availability.holdfast.leaders-url", "http://orders-jobmanager:8481",
                                        "high-availability.holdfast.add-deadline", "20 s",
                                        "high-availability.cluster-id", "orders")));
        assertEquals("http://127.0.0.1:1", config.sidecarUrl.toString());
        assertEquals("http://orders-jobmanager:8481", config.leadersUrl.toString());
        assertEquals(20_000, config.addDeadlineMs);
        assertEquals("orders", config.clusterId);
    }

    @Test
    void refusesWhatCannotBeUsedAndSaysWhatCan() {
        for (String url :
                List.of("127.0.0.1:8480", "https://h:1", "http://user:password@h:1", "http://h:1/path", "http:// h")) {
            assertRefused("high-availability.holdfast.url", url, "http://HOST:PORT");
        }
        assertRefused("high-availability.holdfast.request-timeout", "soon", "for example '5 s'");
        assertRefused("high-availability.holdfast.request-timeout", "0 ms", "at least 1 ms");
        assertRefused("high-availability.holdfast.add-deadline", "4 s", "high-availability.holdfast.request-timeout");
        assertRefused("high-availability.holdfast.recovery-deadline", "1 s", "which is 5000 ms");
    }

    private static void assertRefused(String key, String value, String allowed) {
        IllegalConfigurationException refused =
                assertThrows(
                        IllegalConfigurationException.class,
                        () -> AdapterConfig.from(Configuration.fromMap(Map.of(key, value))),
                        key + ": " + value);
        assertTrue(refused.getMessage().contains(key), refused.getMessage());
        assertTrue(refused.getMessage().contains(allowed), refused.getMessage());
    }
}
