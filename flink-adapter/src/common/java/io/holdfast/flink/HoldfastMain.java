/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance with
 * the License. You may obtain a copy of the License at http://www.apache.org/licenses/LICENSE-2.0
 */
package io.holdfast.flink;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.Map;

/**
 * The main class to give to Flink ({@code --job-classname io.holdfast.flink.HoldfastMain}) so that the job's own {@code
 * main()} is not run when its stored graph can be used: a failover then needs nothing that {@code main()} needs, and takes
 * no longer because of it. The job's own class comes first on the command line, {@code --holdfast-main-class CLASS}, or
 * from the option {@code holdfast.main-class}.
 *
 * <p>Flink runs {@code main()} at every failover, and does with its outcome:
 *
 * <ul>
 *   <li>1.20 to 2.2 ({@code ApplicationDispatcherBootstrap}): recovered jobs run already, and what {@code execute()} was
 *       given is ignored. When {@code main()} fails, the process ends.
 *   <li>2.3 ({@code PackagedProgramApplication}): a recovered job waits for an {@code execute()} of its name. When {@code
 *       main()} fails, or returns without it, the job becomes FAILED and all that it could be recovered from is deleted.
 * </ul>
 */
public final class HoldfastMain {

    static final String MAIN_CLASS_ARGUMENT = "--holdfast-main-class";

    private static final Logger LOG = LoggerFactory.getLogger(HoldfastMain.class);

    private HoldfastMain() {}

    public static void main(String[] args) throws Exception {
        RecoveredGraphs recovered = RecoveredGraphs.newest();
        if (recovered == null) {
            LOG.warn(
                    "This process has no Holdfast high-availability services, so that main() is run. Is high-availability.type"
                            + " {}, and the adapter's jar in lib/ only?",
                    HoldfastHaServicesFactory.class.getName());
        }
        Map<String, String> jobs = recovered == null ? Map.of() : recovered.jobs();
        if (jobs.size() == 1) {
            Map.Entry<String, String> job = jobs.entrySet().iterator().next();
            LOG.info("Job {} ({}) is run from its stored graph, without main()", job.getKey(), job.getValue());
            recovered.start(job.getValue());
        } else {
            // None; or several, which only their own main() brings into order.
            String program = classNameIn(args, recovered);
            LOG.info("{} stored graphs were recovered; running main() of {}", jobs.size(), program);
            run(mainOf(program), argumentsIn(args));
        }
    }

    private static boolean isNamedIn(String[] args) {
        return args.length > 0 && args[0].equals(MAIN_CLASS_ARGUMENT);
    }

    private static String classNameIn(String[] args, RecoveredGraphs recovered) {
        String configured =
                recovered == null ? "" : recovered.configuration.getOptional(HoldfastOptions.MAIN_CLASS).orElse("");
        String named = isNamedIn(args) ? args.length > 1 ? args[1] : "" : configured;
        String wayOut = "name the job's class in " + HoldfastOptions.MAIN_CLASS.key() + ", or as the first program arguments: "
                + MAIN_CLASS_ARGUMENT + " CLASS";
        if (named.trim().isEmpty()) {
            throw new IllegalArgumentException("There is no class to run; " + wayOut);
        }
        if (named.trim().equals(HoldfastMain.class.getName())) {
            throw new IllegalArgumentException(named + " would run itself; " + wayOut);
        }
        return named.trim();
    }

    private static String[] argumentsIn(String[] args) {
        return isNamedIn(args) ? Arrays.copyOfRange(args, 2, args.length) : args;
    }

    /** With the class loader that Flink set for the user's code. */
    private static Method mainOf(String className) throws ClassNotFoundException {
        Class<?> program = Class.forName(className, false, Thread.currentThread().getContextClassLoader());
        try {
            Method main = program.getMethod("main", String[].class);
            if (Modifier.isStatic(main.getModifiers())) {
                return main;
            }
        } catch (NoSuchMethodException e) {
            throw new IllegalArgumentException(className + " has no public static void main(String[])", e);
        }
        throw new IllegalArgumentException("main(String[]) of " + className + " is not static");
    }

    /** The program's own exceptions are thrown on as they are: Flink decides by their types. */
    private static void run(Method main, String[] args) throws Exception {
        try {
            main.setAccessible(true); // a main class need not be public itself
            main.invoke(null, (Object) args);
        } catch (InvocationTargetException e) {
            if (e.getCause() instanceof Exception) {
                throw (Exception) e.getCause();
            }
            if (e.getCause() instanceof Error) {
                throw (Error) e.getCause();
            }
            throw e;
        }
    }
}
