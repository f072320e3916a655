/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;

class NoTlsTest {

    private final HttpClient client = HttpClient.newBuilder().sslContext(new NoTls()).build();

    @Test
    void plainHttpWorksWithoutIt() throws Exception {
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            CompletableFuture<Void> answered = CompletableFuture.runAsync(() -> answer(server));
            HttpResponse<String> response = client.send(request("http", server), HttpResponse.BodyHandlers.ofString());
            assertEquals("ok", response.body());
            answered.get();
        }
    }

    @Test
    void aUrlThatNeedsItIsRefusedInsteadOfAskedInTheClear() throws Exception {
        try (ServerSocket server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            HttpRequest request = request("https", server);
            assertThrows(Exception.class, () -> client.send(request, HttpResponse.BodyHandlers.ofString()));
        }
    }

    private static HttpRequest request(String scheme, ServerSocket server) {
        URI uri = URI.create(scheme + "://127.0.0.1:" + server.getLocalPort() + "/");
        return HttpRequest.newBuilder(uri).version(HttpClient.Version.HTTP_1_1).build();
    }

    private static void answer(ServerSocket server) {
        try (Socket socket = server.accept()) {
            byte[] answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".getBytes(StandardCharsets.US_ASCII);
            socket.getInputStream().read(new byte[4096]);
            socket.getOutputStream().write(answer);
            socket.getOutputStream().flush();
            // The client ends the exchange by its length; what follows is its end.
            socket.shutdownOutput();
            while (socket.getInputStream().read() >= 0) {}
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
