/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;

import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/** A real {@code holdfast run} with a directory as its store. Its process ends with {@link #close}. */
final class Sidecar implements AutoCloseable {

    private static final long START_MS = 30_000;
    /** For a single request, which is not sent again. */
    static final long ANSWER_MS = 20_000;

    final Path directory;
    final int port = freePort();
    final int publicPort = freePort();
    private final String deployment;
    private final boolean ownsDirectory;
    private Process process;

    private Sidecar(Path directory, String deployment, boolean ownsDirectory) throws IOException {
        this.directory = directory;
        this.deployment = deployment;
        this.ownsDirectory = ownsDirectory;
    }

    /** A new deployment; not started yet. */
    static Sidecar fresh() throws IOException {
        return new Sidecar(Files.createTempDirectory("holdfast-test-"), "test-" + UUID.randomUUID(), true);
    }

    static Sidecar started() throws Exception {
        return fresh().start();
    }

    /** Another sidecar of the same deployment, as after a pod was replaced; not started yet. */
    Sidecar successor() throws IOException {
        return new Sidecar(directory, deployment, false);
    }

    Sidecar start() throws Exception {
        List<String> command = new ArrayList<>(List.of(System.getProperty("holdfast.sidecar"), "run"));
        command.addAll(List.of("--deployment", deployment, "--store", "file://" + directory.resolve("store")));
        command.addAll(List.of("--election", "none"));
        command.addAll(List.of("--listen", "127.0.0.1:" + port, "--public-listen", "127.0.0.1:" + publicPort));
        File log = directory.resolve("sidecar-" + port + ".log").toFile();
        process =
                new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectOutput(ProcessBuilder.Redirect.appendTo(log))
                        .start();
        long deadlineNs = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(START_MS);
        while (!isReady()) {
            if (!process.isAlive() || System.nanoTime() > deadlineNs) {
                throw new IllegalStateException("the sidecar did not start:\n" + Files.readString(log.toPath()));
            }
            Thread.sleep(20);
        }
        return this;
    }

    private boolean isReady() {
        try (SidecarClient client = client()) {
            return client.call(SidecarCall.plain("GET", "/ready"), 1_000).problem == null;
        } catch (IOException e) {
            return false; // not up yet
        }
    }

    /** As with kill -9. */
    void kill() throws InterruptedException {
        process.destroyForcibly();
        process.waitFor();
    }

    String url() {
        return "http://127.0.0.1:" + port;
    }

    String publicUrl() {
        return "http://127.0.0.1:" + publicPort;
    }

    SidecarClient client() {
        return new SidecarClient(URI.create(url()), 1_000);
    }

    Configuration configuration() {
        return configuration(url());
    }

    /** A request without an answer is soon sent again; a disk that stands still for seconds fails no call. */
    static Configuration configuration(String url) {
        return configuration(url, Duration.ofSeconds(20), Duration.ofSeconds(20));
    }

    /** Short limits, for a test that is to see their end. */
    static Configuration impatient(String url) {
        return configuration(url, Duration.ofMillis(2_500), Duration.ofMillis(6_000));
    }

    private static Configuration configuration(String url, Duration addDeadline, Duration recoveryDeadline) {
        Configuration configuration = new Configuration();
        configuration.set(HoldfastOptions.URL, url);
        configuration.set(HoldfastOptions.REQUEST_TIMEOUT, Duration.ofMillis(1_000));
        configuration.set(HoldfastOptions.ADD_DEADLINE, addDeadline);
        configuration.set(HoldfastOptions.RECOVERY_DEADLINE, recoveryDeadline);
        return configuration;
    }

    AdapterConfig config() {
        return AdapterConfig.from(configuration());
    }

    /** The published leaders; null while the sidecar does not know of any. */
    JsonNode leaders() throws IOException {
        try (SidecarClient client = client()) {
            SidecarAnswer answer = client.call(SidecarCall.plain("GET", "/v1/leaders"), ANSWER_MS);
            return answer.problem == null ? answer.json().path("leaders") : null;
        }
    }

    @Override
    public void close() throws Exception {
        if (process != null) {
            kill();
        }
        if (ownsDirectory) {
            try (Stream<Path> files = Files.walk(directory)) {
                files.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
            }
        }
    }

    /** Below the range from which the kernel serves whoever asks for any port: nobody else is given it by accident. */
    static int freePort() {
        for (int port : new Random().ints(1_000, 10_000, 32_768).toArray()) {
            try (ServerSocket socket = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
                return socket.getLocalPort();
            } catch (IOException taken) {
                continue;
            }
        }
        throw new IllegalStateException("no free port was found from 10000 to 32767");
    }
}
