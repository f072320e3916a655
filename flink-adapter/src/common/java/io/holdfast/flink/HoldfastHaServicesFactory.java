/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.highavailability.ClientHighAvailabilityServices;
import org.apache.flink.runtime.highavailability.HighAvailabilityServices;
import org.apache.flink.runtime.highavailability.HighAvailabilityServicesFactory;
import org.apache.flink.runtime.util.EnvironmentInformation;

import java.lang.reflect.InvocationTargetException;
import java.util.concurrent.Executor;

/**
 * What a user names in {@code high-availability.type}. Flink loads it in every JobManager, TaskManager and client, so the
 * jar belongs into {@code lib/} of all of them.
 *
 * <p>The only reflection of the adapter is here: it finds out which generation of Flink's interfaces this is, and loads
 * the class that was compiled against it.
 */
public final class HoldfastHaServicesFactory implements HighAvailabilityServicesFactory {

    @Override
    public HighAvailabilityServices createHAServices(Configuration configuration, Executor ioExecutor)
            throws Exception {
        String implementation = implementation();
        try {
            return (HighAvailabilityServices)
                    Class.forName(implementation)
                            .getDeclaredConstructor(Configuration.class, Executor.class)
                            .newInstance(configuration, ioExecutor);
        } catch (ClassNotFoundException e) {
            throw new IllegalStateException(
                    "this holdfast-flink-adapter.jar was built without "
                            + implementation
                            + ", which Flink "
                            + EnvironmentInformation.getVersion()
                            + " needs; build it with flink-adapter/build.sh and a home of that version",
                    e);
        } catch (InvocationTargetException e) {
            if (e.getCause() instanceof Exception) {
                throw (Exception) e.getCause();
            }
            throw e;
        }
    }

    @Override
    public ClientHighAvailabilityServices createClientHAServices(Configuration configuration) {
        return new HoldfastClientHaServices(configuration);
    }

    private static String implementation() {
        String jobManagerPackage = "org.apache.flink.runtime.jobmanager.";
        if (isPresent(jobManagerPackage + "ApplicationStore")) {
            return "io.holdfast.flink.HaServices23";
        }
        return isPresent(jobManagerPackage + "ExecutionPlanStore")
                ? "io.holdfast.flink.HaServices2"
                : "io.holdfast.flink.HaServices120";
    }

    private static boolean isPresent(String className) {
        try {
            Class.forName(className, false, HoldfastHaServicesFactory.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException e) {
            return false; // an older generation
        }
    }
}
