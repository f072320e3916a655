/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Flow;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * The lines of a held answer, taken one by one by one reader thread. The next piece of the network is asked for only
 * when every line before it was taken, so that a slow reader makes the sidecar wait instead of filling this heap.
 *
 * <p>A subscriber and not a blocking {@code InputStream}: a read of those has no time-out, and a dead connection would
 * never be noticed.
 */
final class EventStream implements HttpResponse.BodySubscriber<EventStream>, AutoCloseable {

    /** A leader map of 128 components of 1 KiB each fits. */
    static final int MAX_LINE_BYTES = 1 << 20;

    /** A line; or the failure of the connection; or one of the two marks below, which have neither. */
    private static final class Item {
        final String line;
        final Throwable failure;

        Item(String line, Throwable failure) {
            this.line = line;
            this.failure = failure;
        }
    }

    private static final Item END_OF_STREAM = new Item(null, null);
    private static final Item END_OF_PIECE = new Item(null, null);

    private final CompletableFuture<Flow.Subscription> subscribed = new CompletableFuture<>();
    /** Bounded by the size of one network buffer, because no more is asked for while lines are in it. */
    private final BlockingQueue<Item> items = new LinkedBlockingQueue<>();
    private final ByteArrayOutputStream partial = new ByteArrayOutputStream();
    private boolean awaitingPiece;

    @Override
    public CompletionStage<EventStream> getBody() {
        return CompletableFuture.completedFuture(this);
    }

    @Override
    public void onSubscribe(Flow.Subscription subscription) {
        if (!subscribed.complete(subscription)) {
            subscription.cancel();
        }
    }

    @Override
    public void onNext(List<ByteBuffer> buffers) {
        for (ByteBuffer buffer : buffers) {
            while (buffer.hasRemaining()) {
                byte next = buffer.get();
                if (next == '\n') {
                    takePartial();
                } else if (partial.size() == MAX_LINE_BYTES) {
                    onError(new IOException("an event is larger than " + MAX_LINE_BYTES + " bytes"));
                    close();
                    return;
                } else {
                    partial.write(next);
                }
            }
        }
        items.add(END_OF_PIECE);
    }

    private void takePartial() {
        items.add(new Item(partial.toString(StandardCharsets.UTF_8), null));
        partial.reset();
    }

    @Override
    public void onError(Throwable failure) {
        items.add(new Item(null, failure));
    }

    @Override
    public void onComplete() {
        if (partial.size() > 0) {
            takePartial();
        }
        items.add(END_OF_STREAM);
    }

    /** The next line; empty when the other side ended the stream. Called by one thread only. */
    Optional<String> next(long timeoutMs) throws IOException, InterruptedException {
        long deadlineNs = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timeoutMs);
        while (true) {
            if (items.isEmpty() && !awaitingPiece) {
                awaitingPiece = true;
                subscribed.thenAccept(subscription -> subscription.request(1));
            }
            Item item = items.poll(Math.max(0, deadlineNs - System.nanoTime()), TimeUnit.NANOSECONDS);
            if (item == null) {
                throw new IOException("nothing was received for " + timeoutMs + " ms");
            }
            if (item == END_OF_STREAM) {
                return Optional.empty();
            }
            if (item.failure != null) {
                throw new IOException("the connection broke: " + item.failure, item.failure);
            }
            if (item != END_OF_PIECE) {
                return Optional.of(item.line);
            }
            awaitingPiece = false;
        }
    }

    /** What is left, of a stream that turned out to be an error message; not more than one line may be long. */
    String rest(long timeoutMs) throws IOException, InterruptedException {
        StringBuilder text = new StringBuilder();
        for (Optional<String> line = next(timeoutMs); line.isPresent(); line = next(timeoutMs)) {
            text.append(line.get());
            if (text.length() > MAX_LINE_BYTES) {
                throw new IOException("an error message is larger than " + MAX_LINE_BYTES + " bytes");
            }
        }
        return text.toString();
    }

    /** Closes the connection; a waiting reader sees the end. May be called by any thread, and more than once. */
    @Override
    public void close() {
        subscribed.thenAccept(Flow.Subscription::cancel);
        items.add(END_OF_STREAM);
    }
}
