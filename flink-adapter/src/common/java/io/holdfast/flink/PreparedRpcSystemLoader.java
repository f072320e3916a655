/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.core.classloading.SubmoduleClassLoader;
import org.apache.flink.runtime.rpc.RpcSystem;
import org.apache.flink.runtime.rpc.RpcSystemLoader;
import org.apache.flink.runtime.rpc.exceptions.RpcLoaderException;

import java.io.File;
import java.net.MalformedURLException;
import java.net.URL;
import java.util.Iterator;
import java.util.Map;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Loads Flink's RPC system from a jar that {@code holdfast prepare} unpacked ({@link RpcSystemJar}) and {@code holdfast exec}
 * names in a system property. Flink's own loader ({@code PekkoRpcSystemLoader}) unpacks the same jar, more than 20 MB, into
 * {@code io.tmp.dirs} at every start, and a JobManager that is killed leaves it there.
 *
 * <p>The class loader is the one that Flink makes, with the same parent: Pekko and Scala stay as isolated from jobs as they
 * are. {@link RpcSystem#load} asks loaders by priority and goes on to the next one after an exception, so that nothing
 * depends on this one: without the property it always throws.
 */
public final class PreparedRpcSystemLoader implements RpcSystemLoader {

    static final String JAR_PROPERTY = "holdfast.rpc-jar";

    /** Before Flink's own, which is 0. */
    private static final int PRIORITY = -1;

    private static final Map<File, ClassLoader> LOADERS = new ConcurrentHashMap<>();

    @Override
    public int getLoadPriority() {
        return PRIORITY;
    }

    @Override
    public RpcSystem loadRpcSystem(Configuration config) {
        String named = System.getProperty(JAR_PROPERTY, "");
        File jar = new File(named);
        if (named.isEmpty() || !jar.isFile()) {
            throw new RpcLoaderException("-D" + JAR_PROPERTY + "=" + named + " is no file that holdfast prepare made");
        }
        try {
            Iterator<RpcSystem> systems = ServiceLoader.load(RpcSystem.class, isolated(jar)).iterator();
            if (systems.hasNext()) {
                return systems.next();
            }
        } catch (ServiceConfigurationError | LinkageError e) {
            // Errors would end the process, where exceptions lead to Flink's own loader.
            throw new RpcLoaderException(jar + " cannot be loaded; holdfast prepare makes it anew", e);
        }
        throw new RpcLoaderException(jar + " has no RPC system of Flink's in it; holdfast prepare makes one that has");
    }

    /** One for the life of the process: a {@link Rehearsal} is to warm the classes that the JobManager uses. */
    private static ClassLoader isolated(File jar) {
        return LOADERS.computeIfAbsent(
                jar, path -> new SubmoduleClassLoader(new URL[] {url(path)}, RpcSystem.class.getClassLoader()));
    }

    /** The class loader of the RPC system, which asks that of Flink for what is not in the jar; without a jar Flink's itself. */
    static ClassLoader isolatedOrOwn() {
        File jar = new File(System.getProperty(JAR_PROPERTY, ""));
        return jar.isFile() ? isolated(jar) : PreparedRpcSystemLoader.class.getClassLoader();
    }

    private static URL url(File jar) {
        try {
            return jar.toURI().toURL();
        } catch (MalformedURLException e) {
            throw new RpcLoaderException(jar + " is no URL", e);
        }
    }
}
