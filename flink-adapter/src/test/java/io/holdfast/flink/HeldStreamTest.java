/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import com.sun.net.httpserver.HttpServer;

import org.apache.flink.runtime.leaderelection.LeaderInformation;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Collectors;

/** What a real sidecar never says, or never in these pieces. */
class HeldStreamTest {

    private static final String SESSION = UUID.randomUUID().toString();

    private HttpServer server;
    private ExecutorService handlers;
    private final BlockingQueue<String> pieces = new LinkedBlockingQueue<>();
    private final List<LeaderInformation> told = new CopyOnWriteArrayList<>();
    private final List<Throwable> fatal = new CopyOnWriteArrayList<>();

    @BeforeEach
    void serveAndRetrieve() throws Exception {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 10);
        handlers = Executors.newCachedThreadPool();
        server.setExecutor(handlers);
        server.createContext(
                "/v1/leaders/stream",
                exchange -> {
                    exchange.sendResponseHeaders(200, 0);
                    try (OutputStream out = exchange.getResponseBody()) {
                        while (true) {
                            String piece = pieces.take();
                            if (piece.equals("END")) {
                                return;
                            }
                            out.write(piece.getBytes(StandardCharsets.UTF_8));
                            out.flush();
                        }
                    } catch (InterruptedException e) {
                        return; // the test is over
                    }
                });
        server.start();
        URI url = URI.create("http://127.0.0.1:" + server.getAddress().getPort());
        SidecarClient client = new SidecarClient(url, 1_000);
        new LeaderDirectory(() -> client, 1_000).retrieve("dispatcher", told::add, fatal::add);
    }

    @AfterEach
    void stop() {
        server.stop(0);
        handlers.shutdownNow();
    }

    @Test
    void ignoresLeadersOfAnOlderEpoch() throws Exception {
        pieces.add(leaders(7, "seven") + leaders(6, "six") + leaders(7, "again"));
        Await.until("told", () -> addresses().contains("again"));
        assertFalse(addresses().contains("six"));
    }

    /** Also on another connection: a sidecar that was cut off may still be serving. */
    @Test
    void ignoresLeadersOfAnOlderEpochAfterAReconnection() throws Exception {
        pieces.add(leaders(7, "seven"));
        Await.until("told", () -> addresses().contains("seven"));
        pieces.add("END");
        pieces.add(leaders(6, "six") + leaders(8, "eight"));
        Await.until("told", () -> addresses().contains("eight"));
        assertFalse(addresses().contains("six"));
    }

    @Test
    void joinsAnEventThatCameInPieces() throws Exception {
        String whole = leaders(7, "seven");
        for (int i = 0; i < whole.length(); i += 7) {
            pieces.add(whole.substring(i, Math.min(whole.length(), i + 7)));
        }
        Await.until("told", () -> addresses().contains("seven"));
    }

    @Test
    void ignoresUnknownEventsAndFields() throws Exception {
        pieces.add("{\"event\":\"weather\",\"rain\":true}\n{\"event\":\"ping\"}\n");
        pieces.add(leaders(7, "seven").replace("{\"event\"", "{\"new\":[1],\"event\""));
        Await.until("told", () -> addresses().contains("seven"));
    }

    @Test
    void opensTheStreamAgainAfterNonsense() throws Exception {
        pieces.add("this is not JSON\n");
        pieces.add("END");
        pieces.add("{\"event\":\"leaders\"}\n");
        pieces.add("END");
        pieces.add(leaders(7, "seven"));
        Await.until("told", () -> addresses().contains("seven"));
        assertEquals(List.of(), fatal);
    }

    @Test
    void opensTheStreamAgainAfterAnEndlessLine() throws Exception {
        pieces.add("x".repeat(EventStream.MAX_LINE_BYTES + 1));
        pieces.add("END");
        pieces.add(leaders(7, "seven"));
        Await.until("told", () -> addresses().contains("seven"));
    }

    private static String leaders(long epoch, String address) {
        return "{\"event\":\"leaders\",\"epoch\":" + epoch + ",\"leaders\":{\"dispatcher\":{\"session\":\"" + SESSION
                + "\",\"address\":\"" + address + "\",\"epoch\":" + epoch + "}}}\n";
    }

    private List<String> addresses() {
        return told.stream().map(LeaderInformation::getLeaderAddress).collect(Collectors.toList());
    }
}
