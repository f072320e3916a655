/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;

/** Stands between the adapter and the sidecar, and does to a request what a network and a slow store do. */
final class FaultProxy implements AutoCloseable {

    /** What happens to a request. */
    enum Fault {
        NONE,
        /** The sidecar gets it and answers; the answer is lost. */
        DROP_ANSWER,
        /** The connection breaks before the sidecar gets it. */
        DROP_REQUEST,
        /** The store is down: certainly not recorded. */
        UNAVAILABLE,
        /** The same, and it says when to come again: in two seconds. */
        UNAVAILABLE_FOR_2_S,
        /** The store did not answer in time. */
        UNKNOWN_OUTCOME,
        /** No answer and no end. */
        SILENCE,
        /** Nothing more, and no end, after the event of a session that grants leadership. */
        SILENCE_AFTER_GRANT
    }

    /** Decides about the n-th matching request, counted from 1. */
    interface Script {
        Fault faultOf(int request);
    }

    private static final String UNAVAILABLE = "503 Service Unavailable";
    private static final String RETRY_AFTER_2_S = "\r\nRetry-After: 2";

    private final ServerSocket server;
    private final int sidecarPort;
    private final Set<Socket> sockets = ConcurrentHashMap.newKeySet();
    /** The first line of every request. */
    final List<String> seen = new CopyOnWriteArrayList<>();
    /** What follows the head of every request that has such. */
    final List<String> bodies = new CopyOnWriteArrayList<>();
    private volatile String prefix = "";
    private volatile Script script = request -> Fault.NONE;
    /** What is answered here instead of by the sidecar: the beginning of a request's first line, and a JSON body. */
    private final Map<String, String> answers = new ConcurrentHashMap<>();
    private int matched;

    FaultProxy(Sidecar sidecar) throws IOException {
        this.server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        this.sidecarPort = sidecar.port;
        Threads.daemon("fault-proxy", this::accept).start();
    }

    String url() {
        return "http://127.0.0.1:" + server.getLocalPort();
    }

    /** For requests whose first line begins so, for example {@code "PUT /v1/jobs"}. */
    synchronized void onRequests(String requestPrefix, Script newScript) {
        prefix = requestPrefix;
        script = newScript;
        matched = 0;
    }

    /** Requests whose first line begins so are answered with 200 and this body, unless the script does something else. */
    void answer(String requestPrefix, String json) {
        answers.put(requestPrefix, json);
    }

    private void forwardOrAnswer(String line, byte[] request, OutputStream client) throws IOException {
        for (Map.Entry<String, String> answer : answers.entrySet()) {
            if (line.startsWith(answer.getKey())) {
                respond(client, "200 OK", "application/json", answer.getValue());
                return;
            }
        }
        forward(request, client);
    }

    private synchronized Fault next(String requestLine) {
        seen.add(requestLine);
        return requestLine.startsWith(prefix) ? script.faultOf(++matched) : Fault.NONE;
    }

    private void accept() {
        try {
            while (true) {
                Socket socket = server.accept();
                sockets.add(socket);
                Threads.daemon("fault-proxy-connection", () -> serve(socket)).start();
            }
        } catch (IOException closed) {
            return;
        }
    }

    /** One request per connection to the sidecar; the client's connection is closed after the answer. */
    private void serve(Socket client) {
        try (client) {
            byte[] request = readRequest(client.getInputStream());
            String whole = new String(request, StandardCharsets.ISO_8859_1);
            String line = whole.split("\r\n", 2)[0];
            String body = whole.substring(whole.indexOf("\r\n\r\n") + 4);
            if (!body.isEmpty()) {
                bodies.add(body);
            }
            switch (next(line)) {
                case DROP_REQUEST:
                    return;
                case UNAVAILABLE:
                    problem(client.getOutputStream(), UNAVAILABLE, "unavailable", "not-recorded");
                    return;
                case UNAVAILABLE_FOR_2_S:
                    problem(client.getOutputStream(), UNAVAILABLE + RETRY_AFTER_2_S, "unavailable", "not-recorded");
                    return;
                case UNKNOWN_OUTCOME:
                    problem(client.getOutputStream(), "504 Gateway Timeout", "unknown-outcome", "unknown");
                    return;
                case SILENCE:
                    client.getInputStream().read();
                    return;
                case DROP_ANSWER:
                    forwardOrAnswer(line, request, OutputStream.nullOutputStream());
                    return;
                case SILENCE_AFTER_GRANT:
                    forward(request, new UntilGrant(client.getOutputStream()));
                    return;
                default:
                    forwardOrAnswer(line, request, client.getOutputStream());
            }
        } catch (IOException broken) {
            return; // what a broken connection looks like from here
        } finally {
            sockets.remove(client);
        }
    }

    private void forward(byte[] request, OutputStream answer) throws IOException {
        try (Socket sidecar = new Socket(InetAddress.getLoopbackAddress(), sidecarPort)) {
            sockets.add(sidecar);
            sidecar.getOutputStream().write(request);
            byte[] buffer = new byte[8192];
            for (int n = sidecar.getInputStream().read(buffer); n >= 0; n = sidecar.getInputStream().read(buffer)) {
                answer.write(buffer, 0, n);
                answer.flush();
            }
            sockets.remove(sidecar);
        }
    }

    private static final class UntilGrant extends FilterOutputStream {
        private final ByteArrayOutputStream passed = new ByteArrayOutputStream();

        UntilGrant(OutputStream out) {
            super(out);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
            if (!passed.toString(StandardCharsets.ISO_8859_1).contains("\"grant\"")) {
                passed.write(bytes, offset, length);
                out.write(bytes, offset, length);
            }
        }
    }

    private static void problem(OutputStream out, String status, String type, String outcome) throws IOException {
        String body =
                "{\"type\":\"urn:holdfast:problem:" + type + "\",\"outcome\":\"" + outcome + "\",\"detail\":\"a test\"}";
        respond(out, status, "application/problem+json", body);
    }

    private static void respond(OutputStream out, String status, String contentType, String body) throws IOException {
        String head =
                "HTTP/1.1 " + status + "\r\nContent-Type: " + contentType + "\r\nContent-Length: " + body.length()
                        + "\r\nConnection: close\r\n\r\n";
        out.write((head + body).getBytes(StandardCharsets.ISO_8859_1));
        out.flush();
    }

    /** Head and body, with a header that makes the sidecar close the connection after its answer. */
    private static byte[] readRequest(InputStream in) throws IOException {
        ByteArrayOutputStream head = new ByteArrayOutputStream();
        String text = "";
        while (!text.endsWith("\r\n\r\n")) {
            int next = in.read();
            if (next < 0) {
                throw new EOFException();
            }
            head.write(next);
            text = head.toString(StandardCharsets.ISO_8859_1);
        }
        int length = 0;
        for (String header : text.split("\r\n")) {
            if (header.toLowerCase().startsWith("content-length:")) {
                length = Integer.parseInt(header.substring(header.indexOf(':') + 1).trim());
            }
        }
        String closing = text.substring(0, text.length() - 2) + "Connection: close\r\n\r\n";
        ByteArrayOutputStream whole = new ByteArrayOutputStream();
        whole.write(closing.getBytes(StandardCharsets.ISO_8859_1));
        whole.write(in.readNBytes(length));
        return whole.toByteArray();
    }

    /** Ends every connection that is open now. */
    void breakConnections() throws IOException {
        for (Socket socket : sockets) {
            socket.close();
        }
    }

    @Override
    public void close() throws IOException {
        server.close();
        breakConnections();
    }
}
