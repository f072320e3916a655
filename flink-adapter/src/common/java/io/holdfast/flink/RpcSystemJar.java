/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.runtime.rpc.RpcSystem;

import java.io.BufferedOutputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;
import java.util.zip.ZipOutputStream;

/**
 * Unpacks the jar of Flink's RPC system that lies inside {@code flink-dist}, without compression, so that a JVM's start need
 * neither copy it nor inflate the classes that it takes out of it. {@code holdfast prepare} runs it; never part of a
 * JobManager.
 */
public final class RpcSystemJar {

    /** What {@code PekkoRpcSystemLoader} looks for, 1.20 to 2.3. */
    private static final String NESTED = "flink-rpc-akka.jar";

    private RpcSystemJar() {}

    /** The only argument is the file to write, which is replaced. */
    public static void main(String[] args) throws IOException {
        if (args.length != 1) {
            throw new IllegalArgumentException("one argument is wanted, the file to write");
        }
        try (InputStream nested = RpcSystem.class.getClassLoader().getResourceAsStream(NESTED)) {
            if (nested == null) {
                throw new FileNotFoundException("there is no " + NESTED + " in this Flink's jars");
            }
            write(nested, Paths.get(args[0]));
        }
    }

    private static void write(InputStream nested, Path file) throws IOException {
        try (ZipInputStream from = new ZipInputStream(nested);
                OutputStream out = new BufferedOutputStream(Files.newOutputStream(file));
                ZipOutputStream to = new ZipOutputStream(out)) {
            for (ZipEntry entry = from.getNextEntry(); entry != null; entry = from.getNextEntry()) {
                byte[] bytes = from.readAllBytes();
                to.putNextEntry(stored(entry, bytes));
                to.write(bytes);
            }
        }
    }

    private static ZipEntry stored(ZipEntry compressed, byte[] bytes) {
        CRC32 crc = new CRC32();
        crc.update(bytes);
        ZipEntry entry = new ZipEntry(compressed.getName());
        entry.setTime(compressed.getTime());
        entry.setMethod(ZipEntry.STORED);
        entry.setSize(bytes.length);
        entry.setCrc(crc.getValue());
        return entry;
    }
}
