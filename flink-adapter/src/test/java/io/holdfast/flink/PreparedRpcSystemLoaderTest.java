/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.classloading.SubmoduleClassLoader;
import org.apache.flink.runtime.rpc.RpcService;
import org.apache.flink.runtime.rpc.RpcSystem;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;

class PreparedRpcSystemLoaderTest {

    @TempDir Path directory;

    @AfterEach
    void forget() {
        System.clearProperty(PreparedRpcSystemLoader.JAR_PROPERTY);
    }

    @Test
    void anRpcSystemComesOutOfThePreparedJarAsIsolatedAsFlinksOwn() throws Exception {
        Path jar = directory.resolve("rpc.jar");
        RpcSystemJar.main(new String[] {jar.toString()});
        try (RpcSystem system = loadedFrom(jar)) {
            ClassLoader loader = system.getClass().getClassLoader();
            assertEquals(SubmoduleClassLoader.class, loader.getClass());
            assertEquals(jar.toUri().toURL(), ((SubmoduleClassLoader) loader).getURLs()[0]);
            RpcService service = system.localServiceBuilder(new Configuration()).createAndStart();
            assertNotNull(service.getScheduledExecutor());
            service.closeAsync().get();
        }
        assertEquals(0, unpacked(), "a copy of the jar was made all the same");
    }

    @Test
    void withoutAPreparedJarFlinkLoadsItsOwn() throws Exception {
        try (RpcSystem system = loadedFrom(directory.resolve("is-not-there.jar"))) {
            assertNotEquals(SubmoduleClassLoader.class, system.getClass().getClassLoader().getClass());
            assertEquals(1, unpacked());
        }
    }

    @Test
    void aJarThatHasNoRpcSystemIsPassedOver() throws Exception {
        URL adapter = RpcSystemJar.class.getProtectionDomain().getCodeSource().getLocation();
        try (RpcSystem system = loadedFrom(Path.of(adapter.toURI()))) {
            assertNotNull(system.localServiceBuilder(new Configuration()));
        }
    }

    private RpcSystem loadedFrom(Path jar) {
        System.setProperty(PreparedRpcSystemLoader.JAR_PROPERTY, jar.toString());
        return RpcSystem.load(Configuration.fromMap(Map.of("io.tmp.dirs", directory.toString())));
    }

    /** What Flink's own loader leaves in its temporary directory. */
    private long unpacked() throws Exception {
        try (Stream<Path> files = Files.list(directory)) {
            return files.filter(file -> file.getFileName().toString().startsWith("flink-rpc-akka")).count();
        }
    }
}
