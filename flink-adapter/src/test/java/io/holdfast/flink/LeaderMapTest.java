/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.apache.flink.runtime.leaderelection.LeaderInformation;

import org.junit.jupiter.api.Test;

import java.io.IOException;

class LeaderMapTest {

    private static LeaderMap parse(String json) throws IOException {
        return LeaderMap.parse(Json.parse(json));
    }

    @Test
    void aSidecarUnderWhichNobodyHasLedYetKnowsNoLeader() throws IOException {
        LeaderMap map = parse("{\"event\":\"leaders\",\"epoch\":null,\"leaders\":{}}");
        assertEquals(LeaderMap.NOBODY_LED_YET, map.epoch);
        assertEquals(LeaderInformation.empty(), map.of("dispatcher"));
    }

    @Test
    void anAddressWithoutASessionIsNotBelieved() {
        String json = "{\"epoch\":1,\"leaders\":{\"dispatcher\":{\"session\":\"x\",\"address\":\"a\"}}}";
        assertThrows(IOException.class, () -> parse(json));
    }
}
