/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.runtime.entrypoint.ClusterEntrypointUtils;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.JarURLConnection;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The jars that a job is made from: {@code usrlib/}, {@code pipeline.jars}, {@code pipeline.classpaths}, and the jar on
 * the system class path that holds the job class. What counts is names and contents; where they lie does not.
 */
final class UserJars {

    /** At most so many bytes are hashed in full, which takes about a second. */
    private static final long MAX_HASHED_BYTES = 512L * 1024 * 1024;
    /** Of a file beyond that: its length, and so many bytes at its end, where a jar's directory with all checksums is. */
    private static final int TAIL_BYTES = 1024 * 1024;
    private static final int MAX_FILES = 10_000;
    private static final int BUFFER_BYTES = 64 * 1024;

    private final Map<String, String> configuration;
    private final Collection<String> jobClasses;
    private final Set<Path> files = new LinkedHashSet<>();
    /** What does not lie here counts by its address. */
    private final Set<String> remote = new TreeSet<>();

    UserJars(Map<String, String> configuration, Collection<String> jobClasses) {
        this.configuration = configuration;
        this.jobClasses = jobClasses;
    }

    String hash() throws IOException {
        for (String key : List.of("pipeline.jars", "pipeline.classpaths")) {
            for (String place : configuration.getOrDefault(key, "").split("[;,\\[\\]]")) {
                add(place.trim().replaceAll("^['\"]|['\"]$", ""));
            }
        }
        File usrlib = ClusterEntrypointUtils.tryFindUserLibDirectory().orElse(null);
        if (usrlib != null) {
            addAll(usrlib.toPath());
        }
        for (String jobClass : jobClasses) {
            addJarOf(jobClass);
        }
        return hashed();
    }

    private void add(String place) throws IOException {
        if (place.isEmpty()) {
            return;
        }
        Path path = local(place);
        if (path == null) {
            remote.add(place);
        } else if (Files.isDirectory(path)) {
            addAll(path);
        } else if (Files.isRegularFile(path)) {
            files.add(path.toRealPath());
        } else {
            remote.add(path.getFileName() + " is missing");
        }
    }

    /** Null for a place in another file system. Relative ones are relative to the working directory, as for Flink. */
    private static Path local(String place) {
        try {
            URI uri = new URI(place);
            boolean here = uri.getScheme() == null || "file".equals(uri.getScheme()) || "local".equals(uri.getScheme());
            String path = uri.getPath() == null ? uri.getSchemeSpecificPart() : uri.getPath();
            return here ? Path.of(path) : null;
        } catch (URISyntaxException notAUri) {
            return Path.of(place);
        }
    }

    private void addAll(Path directory) throws IOException {
        try (Stream<Path> found = Files.walk(directory)) {
            for (Path path : found.filter(Files::isRegularFile).limit(MAX_FILES).collect(Collectors.toList())) {
                files.add(path.toRealPath());
            }
        }
    }

    private void addJarOf(String jobClass) throws IOException {
        URL resource = ClassLoader.getSystemResource(jobClass.replace('.', '/') + ".class");
        if (resource == null) {
            return; // in a jar that was added above, or nowhere
        }
        if (resource.openConnection() instanceof JarURLConnection) {
            add(((JarURLConnection) resource.openConnection()).getJarFileURL().toString());
        } else {
            add(resource.toString());
        }
    }

    /** Names and hashes in an order of their own: a directory is listed in any order. */
    private String hashed() throws IOException {
        Set<String> entries = new TreeSet<>(remote);
        long leftBytes = MAX_HASHED_BYTES;
        for (Path file : new TreeSet<>(files)) {
            long length = Files.size(file);
            boolean whole = length <= leftBytes;
            entries.add(file.getFileName() + " " + length + " " + contentOf(file, whole ? 0 : length - TAIL_BYTES));
            leftBytes -= whole ? length : 0;
        }
        Sha256 hash = new Sha256();
        entries.forEach(hash::text);
        return hash.hex();
    }

    private static String contentOf(Path file, long from) throws IOException {
        Sha256 hash = new Sha256();
        byte[] buffer = new byte[BUFFER_BYTES];
        try (InputStream in = Files.newInputStream(file)) {
            in.skip(Math.max(0, from));
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                hash.bytes(buffer, n);
            }
        }
        return hash.hex();
    }
}
