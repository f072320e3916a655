/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * One attempt of one request, over HTTP/1.1, within a time limit. It never repeats anything: {@link Attempts} does, and
 * knows what a repetition means.
 *
 * <p>{@code HttpClient} repeats by itself only what changes nothing (a GET, and a connection that could not be opened);
 * {@code HttpURLConnection} would silently send a POST again on a kept connection that had died.
 */
final class SidecarClient implements AutoCloseable {

    /** The request certainly did not leave this process. */
    static final class NotSentException extends IOException {
        private static final long serialVersionUID = 1L;

        NotSentException(String message, Throwable cause) {
            super(message, cause);
        }
    }

    /** Callbacks of the HTTP client are short; two threads keep one busy stream from delaying the calls. */
    private static final int CALLBACK_THREADS = 2;
    private static final long IDLE_THREAD_MS = 30_000;

    private final URI base;
    private final long connectTimeoutMs;
    private final ThreadPoolExecutor callbacks;
    private final CompletableFuture<Void> closed = new CompletableFuture<>();

    /** Made at the first request: a process that never asks has no thread and no selector for it. */
    private HttpClient http;

    SidecarClient(URI base, long connectTimeoutMs) {
        this.base = base;
        this.connectTimeoutMs = connectTimeoutMs;
        // At most one task per request in flight, and those are limited by the threads that wait for them.
        this.callbacks =
                new ThreadPoolExecutor(
                        CALLBACK_THREADS,
                        CALLBACK_THREADS,
                        IDLE_THREAD_MS,
                        TimeUnit.MILLISECONDS,
                        new LinkedBlockingQueue<>(),
                        task -> Threads.daemon("holdfast-http", task));
        callbacks.allowCoreThreadTimeOut(true);
    }

    private synchronized HttpClient http() {
        if (http == null) {
            http =
                    HttpClient.newBuilder()
                            .version(HttpClient.Version.HTTP_1_1)
                            .connectTimeout(Duration.ofMillis(connectTimeoutMs))
                            // -Dhttp.proxyHost of the container must not send these requests elsewhere.
                            .proxy(HttpClient.Builder.NO_PROXY)
                            .executor(callbacks)
                            .sslContext(new NoTls())
                            .build();
        }
        return http;
    }

    URI base() {
        return base;
    }

    /**
     * Not interruptible (see {@link Threads#await}).
     *
     * @throws NotSentException the request did not leave this process
     * @throws IOException there was no answer; the request may have been received
     */
    SidecarAnswer call(SidecarCall call, long timeoutMs) throws IOException {
        // Both limits are needed: before JDK 26 the request's own ends with the headers, and before JDK 16 cancelling
        // the future does not end the exchange.
        HttpRequest request = request(call).timeout(Duration.ofMillis(timeoutMs)).build();
        HttpResponse<byte[]> response =
                await(http().sendAsync(request, head -> new BoundedBody(BoundedBody.MAX_BYTES)), call, timeoutMs);
        return new SidecarAnswer(
                response.statusCode(),
                response.body(),
                response.headers().firstValue("ETag").orElse(null),
                retryAfterMs(response));
    }

    /**
     * Opens a held answer.
     *
     * @param timeoutMs limit of the head of the answer; it says nothing about the events
     * @throws SidecarException the sidecar refused to open the stream
     */
    EventStream open(SidecarCall call, long timeoutMs) throws IOException, InterruptedException, SidecarException {
        // No HttpRequest.timeout here: from JDK 26 on it covers the body and would end every held stream.
        CompletableFuture<HttpResponse<EventStream>> sent =
                http().sendAsync(request(call).build(), head -> new EventStream());
        HttpResponse<EventStream> response;
        try {
            response = await(sent, call, timeoutMs);
        } catch (IOException e) {
            sent.thenAccept(late -> late.body().close());
            throw e;
        }
        if (response.statusCode() == 200) {
            return response.body();
        }
        try (EventStream body = response.body()) {
            byte[] problem = body.rest(timeoutMs).getBytes(StandardCharsets.UTF_8);
            throw new SidecarException(call.toString(), Problem.parse(response.statusCode(), problem));
        }
    }

    private HttpRequest.Builder request(SidecarCall call) {
        HttpRequest.Builder request =
                HttpRequest.newBuilder(base.resolve(call.path))
                        .method(
                                call.method,
                                call.body.length == 0
                                        ? HttpRequest.BodyPublishers.noBody()
                                        : HttpRequest.BodyPublishers.ofByteArray(call.body));
        call.headers.forEach(request::header);
        return request;
    }

    private <T> T await(CompletableFuture<T> sent, SidecarCall call, long timeoutMs) throws IOException {
        CompletableFuture<Object> first = CompletableFuture.anyOf(sent, closed);
        try {
            Threads.await(first, timeoutMs);
            if (sent.isDone()) {
                return sent.get();
            }
            sent.cancel(true);
            throw new IOException(call + ": the high-availability services were closed");
        } catch (TimeoutException e) {
            sent.cancel(true);
            throw new IOException(call + " at " + base + ": no answer within " + timeoutMs + " ms", e);
        } catch (ExecutionException e) {
            throw failure(call, e.getCause());
        } catch (InterruptedException e) {
            throw new IllegalStateException("a finished future does not wait", e);
        }
    }

    private IOException failure(SidecarCall call, Throwable cause) {
        String what = call + " at " + base + ": " + cause;
        boolean neverConnected = cause instanceof ConnectException || cause instanceof HttpConnectTimeoutException;
        return neverConnected ? new NotSentException(what, cause) : new IOException(what, cause);
    }

    private static long retryAfterMs(HttpResponse<?> response) {
        String value = response.headers().firstValue("Retry-After").orElse("");
        return value.matches("[0-9]{1,6}") ? 1000 * Long.parseLong(value) : 0;
    }

    boolean isClosed() {
        return closed.isDone();
    }

    /** Waiting calls end; connections close when the client is collected (Java 11 has no other way). */
    @Override
    public void close() {
        closed.complete(null);
        callbacks.setKeepAliveTime(1, TimeUnit.MILLISECONDS);
    }
}
