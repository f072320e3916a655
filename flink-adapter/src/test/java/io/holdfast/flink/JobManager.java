/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A real JobManager in a process of its own, as the standalone application entrypoint starts it, with the classes of this
 * test on its class path. There is no TaskManager: its job waits for slots. Ends with {@link #close}.
 */
final class JobManager implements AutoCloseable {

    private static final String ENTRYPOINT =
            "org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint";

    final Path log;
    private final int restPort = Sidecar.freePort();
    private final Process process;

    /** @param arguments of the entrypoint: the job class, and the program's arguments */
    static JobManager start(Sidecar sidecar, String... arguments) throws IOException {
        return new JobManager(sidecar, List.of(arguments));
    }

    private JobManager(Sidecar sidecar, List<String> arguments) throws IOException {
        Path directory = Files.createTempDirectory(sidecar.directory, "jobmanager-");
        log = directory.resolve("log");
        Files.writeString(directory.resolve(fileName()), configuration(sidecar, directory));
        Files.writeString(
                directory.resolve("log4j2.properties"),
                "rootLogger.level = INFO\nrootLogger.appenderRef.out.ref = out\nappender.out.type = Console\n"
                        + "appender.out.name = out\nappender.out.layout.type = PatternLayout\n"
                        + "appender.out.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} %m%n\n");
        List<String> command = new ArrayList<>();
        command.addAll(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-Xmx512m"));
        // Of those that Flink's own configuration has, what a graph needs.
        command.addAll(List.of("--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED"));
        command.add("-Dlog4j2.configurationFile=" + directory.resolve("log4j2.properties"));
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), ENTRYPOINT));
        command.addAll(List.of("--configDir", directory.toString()));
        command.addAll(arguments);
        process =
                new ProcessBuilder(command)
                        .directory(directory.toFile())
                        .redirectErrorStream(true)
                        .redirectOutput(log.toFile())
                        .start();
    }

    /** flink-conf.yaml of 1.20, with plain lines; config.yaml of 2.x takes the same ones. */
    private static String fileName() {
        return Generation.HA_SERVICES.endsWith("120") ? "flink-conf.yaml" : "config.yaml";
    }

    private String configuration(Sidecar sidecar, Path directory) {
        return String.join(
                "\n",
                "jobmanager.rpc.address: 127.0.0.1",
                "jobmanager.bind-host: 127.0.0.1",
                "jobmanager.rpc.port: " + Sidecar.freePort(),
                "rest.address: 127.0.0.1",
                "rest.bind-address: 127.0.0.1",
                "rest.bind-port: " + restPort,
                "rest.port: " + restPort,
                "blob.server.port: 0",
                "jobmanager.memory.process.size: 1024m",
                "io.tmp.dirs: " + directory,
                "high-availability.type: " + HoldfastHaServicesFactory.class.getName(),
                "high-availability.cluster-id: test",
                "high-availability.storageDir: " + sidecar.directory.resolve("ha").toUri(),
                "high-availability.holdfast.url: " + sidecar.url(),
                // Path.toUri() ends with a slash or not, as the directory exists; another value is another fingerprint.
                "execution.checkpointing.dir: file://" + sidecar.directory.resolve("checkpoints"),
                "");
    }

    /** What {@code GET /jobs} answers; empty while nobody answers. */
    String jobs() {
        try {
            HttpRequest request =
                    HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + restPort + "/jobs/overview")).build();
            HttpResponse<String> answer =
                    HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
            return answer.statusCode() == 200 ? answer.body() : "";
        } catch (IOException notYet) {
            return "";
        } catch (InterruptedException e) {
            throw new IllegalStateException("nobody interrupts this", e);
        }
    }

    boolean isAlive() {
        return process.isAlive();
    }

    String logText() throws IOException {
        return Files.readString(log);
    }

    /** As with kill -9. */
    @Override
    public void close() throws InterruptedException {
        process.destroyForcibly();
        process.waitFor(30, TimeUnit.SECONDS);
    }
}
